"""Official SPHINX checkpoints (the format of LLaMA2-Accessory): read, import, export."""

from sphinx_x.checkpoints.accessory.architectures import ARCHITECTURES, PADDING, UNUSED, Checkpoint, understand
from sphinx_x.checkpoints.accessory.exporting import export_accessory
from sphinx_x.checkpoints.accessory.importing import import_accessory

__all__ = ["ARCHITECTURES", "PADDING", "UNUSED", "Checkpoint", "export_accessory", "import_accessory", "understand"]
