"""A SAM of random weights, small enough for tests."""

import json

import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

SIDE = 64
"""Pixels of the square that it sees."""


def write_sam(folder, seed=3):
    """Writes its folder, and returns it."""
    torch.manual_seed(seed)
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": SIDE, "patch_size": 8}
    vision |= {"output_channels": 16, "global_attn_indexes": [0], "window_size": 4, "num_pos_feats": 8, "mlp_dim": 32}
    prompt = {"hidden_size": 16, "image_size": SIDE, "patch_size": 8, "mask_input_channels": 4}
    decoder = {"hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SamConfig(
        vision_config=SamVisionConfig(**vision).to_dict(),
        prompt_encoder_config=SamPromptEncoderConfig(**prompt).to_dict(),
        mask_decoder_config=SamMaskDecoderConfig(**decoder, iou_head_hidden_dim=16).to_dict(),
    )
    SamModel(config).save_pretrained(folder)
    sizes = {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}}
    sizes |= {"mask_size": {"longest_edge": 16}, "mask_pad_size": {"height": 16, "width": 16}}
    settings = {"image_processor_type": "SamImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.5] * 3, **sizes}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
