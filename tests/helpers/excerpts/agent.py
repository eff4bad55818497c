"""Screenshots."""

from pathlib import Path

from excerpts.files import picture, put


def _element(instruction: str, bbox: list[float], kind: str = "text") -> dict:
    return {"instruction": instruction, "bbox": bbox, "data_type": kind}


def _seeclick(root: Path) -> None:
    shop = [
        _element("Sign in", [0.8, 0.05, 0.9, 0.1]),
        _element("Read more", [0.1, 0.5, 0.2, 0.55]),
        _element("Read more", [0.6, 0.5, 0.7, 0.55]),
        _element("Add to cart", [0.25, 0.7, 0.35, 0.8], "hover"),
        _element("Share this page", [0.9, 0.9, 1.05, 0.98], "hover"),
        _element("Left of the page", [-0.2, 0.1, 0.1, 0.2]),
        _element("Größe", [0.3, 0.3, 0.4, 0.4]),
        _element("No height", [0.3, 0.3, 0.4, 0.3]),
        _element("Contact", [0.4, 0.92, 0.5, 0.96]),
        _element("Search", [0.4, 0.02, 0.6, 0.06]),
    ]
    news = [_element("Home", [0.0, 0.0, 0.1, 0.05]), _element("Next", [0.9, 0.4, 0.95, 0.6], "hover")]
    pages = [
        {"img_filename": "shop.png", "url": "https://shop.example.org/", "elements": shop},
        {"img_filename": "news.png", "url": "https://news.example.org/", "elements": news},
    ]
    put(root / "seeclick_web.json", pages)
    picture(root / "seeclick_web_imgs" / "shop.png", 200, 100)
    picture(root / "seeclick_web_imgs" / "news.png", 100, 100)


EXCERPTS = {"seeclick": _seeclick}
