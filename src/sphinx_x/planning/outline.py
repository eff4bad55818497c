from dataclasses import dataclass
@dataclass(frozen=True)
class Size:
    name: str
    part: str
    numbers: int
    trained: bool
    split: bool = False
    experts: int = 1
    matrix: bool = False
