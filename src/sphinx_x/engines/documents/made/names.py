"""Names of people and companies that do not exist."""

from __future__ import annotations

import functools
import gzip
import random
import re
from importlib import resources

from sphinx_x.engines.documents.made.places import Land

CONSONANTS = re.findall(r"\w+", "b c d f g h j k l m n p r s t v w y z br ch cl dr fl gr kh kl pr sh st th tr")
VOWELS = re.findall(r"\w+", "a e i o u a e i o ai au ee ia oo")
CODAS = ("", "", "", *"nrlsktmx", "ng")
PARTS = {
    "chinese": (
        "Tan Lim Lee Ng Ong Wong Goh Chua Chan Koh Teo Ang Yeo Tay Ho Low Toh Sim Chong Chia Foo Khoo Yap Cheah Loh",
        "Ah Beng Boon Chee Cheng Chin Chong Fatt Guan Heng Hock Hong Huat Hui Joo Kiat Kim Leong Ling May Mei Ming "
        "Seng Siew Soon Swee Tee Wai Wei Yen Yong",
    ),
    "malay": (
        "Abdullah Ahmad Hassan Ibrahim Ismail Osman Rahman Yusof Zainal Aziz Hamid Kassim Salleh Sulaiman",
        "Aisyah Azman Farah Faizal Halim Hafiz Idris Kamal Latifah Nadia Nor Rosli Siti Zul Zahra",
    ),
    "indian": (
        "Nair Pillai Raj Kumar Menon Singh Subramaniam Krishnan Gopal Iyer Rao Das Sharma Fernandes",
        "Anand Arun Deepa Devi Ganesh Kavita Mohan Priya Ravi Shanti Suresh Uma Vijay",
    ),
    "english": (
        "Smith Jones Taylor Brown Wilson Evans Walker Wright Hughes Green Hall Wood Clarke Jackson Turner Hill Moore "
        "Cooper Ward Morris King Baker Carter Bennett Fletcher Harvey Mason Doyle Reid Sutton Porter Quinn Lowe",
        "Alice Anna Ben Claire Daniel Emma Frank George Hannah Ian Jack Kate Laura Mark Nina Oliver Paul Rachel Sam "
        "Tom Victor Wendy Peter Grace Leo Ruth",
    ),
}
TRADES = {
    "food": ("Restaurant", "Cafe", "Bakery", "Bistro", "Kitchen", "Kopitiam", "Eatery", "Food Court", "Seafood"),
    "hardware": ("Hardware", "Machinery", "Trading", "Building Materials", "Electrical", "Tools", "Paint Centre"),
    "grocery": ("Mini Market", "Supermarket", "Grocer", "Fresh Mart", "Provision Store", "Marketing"),
    "stationery": ("Stationery", "Book Store", "Book Shop", "Office Supplies", "Paper Products", "Gift Shop"),
    "pharmacy": ("Pharmacy", "Health Care", "Medical Hall", "Farmasi", "Wellness", "Beauty Supplies"),
    "clothes": ("Fashion", "Boutique", "Textiles", "Shoes", "Sports", "Apparel", "Tailoring"),
    "service": ("Auto Service", "Car Wash", "Laundry", "Printing", "Parking", "Workshop", "Petrol", "Logistics"),
}
"""What a company does, and the words for it in its name."""
MALAY = {
    "food": ("RESTORAN", "Restoran", "KEDAI KOPI", "KEDAI MAKANAN", "WARUNG"),
    "hardware": ("SYARIKAT", "PERNIAGAAN", "PUSAT", "SYARIKAT PERNIAGAAN"),
    "grocery": ("PASARAYA", "PASAR MINI", "KEDAI RUNCIT", "SYARIKAT"),
    "stationery": ("KEDAI BUKU", "PUSAT ALAT TULIS", "SYARIKAT"),
    "pharmacy": ("FARMASI", "KLINIK", "PUSAT KESIHATAN"),
    "clothes": ("BUTIK", "KEDAI KASUT", "PUSAT PAKAIAN"),
    "service": ("BENGKEL", "PUSAT SERVIS", "DOBI", "STESEN MINYAK"),
}
"""The same in Malay, where it comes first."""


@functools.cache
def common_words() -> tuple[str, ...]:
    """Return common words of English, four letters or more."""
    content = (resources.files("sphinx_x.engines.pdf") / "words.txt.gz").read_bytes()
    words = gzip.decompress(content).decode().split()
    return tuple(word for word in words if len(word) > 3 and word.isalpha() and word.islower())


def made_up_word(rng: random.Random, syllables: int = 2) -> str:
    """Return a word of no language, with a capital."""
    parts = (rng.choice(CONSONANTS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables))
    return "".join(parts).capitalize()


def person(rng: random.Random, land: Land | None = None) -> str:
    """Return the name of a person."""
    kind = rng.choice(land.people if land else tuple(PARTS))
    last, first = (part.split() for part in PARTS[kind])
    if kind == "chinese":
        return " ".join([rng.choice(last), *rng.sample(first, rng.choice((1, 2, 2)))])
    if kind == "malay":
        return f"{rng.choice(first)} {rng.choice(('', '', 'bin ', 'binti '))}{rng.choice(last)}"
    middle = f"{rng.choice('ABCDEFGHJKLMNPRSTW')}. " if rng.random() < 0.2 else ""
    return f"{rng.choice(first)} {middle}{rng.choice(last)}"


def company(rng: random.Random, land: Land, trade: str) -> str:
    """Return the name of a company with its legal form."""
    kind = rng.random()
    if kind < 0.3:
        name = rng.choice(common_words()).capitalize()
        name += f" {rng.choice(common_words()).capitalize()}" if rng.random() < 0.4 else ""
    elif kind < 0.55:
        name = made_up_word(rng, rng.choice((1, 2, 2, 3)))
        name += f" {made_up_word(rng, 1)}" if rng.random() < 0.5 else ""
    elif kind < 0.75:
        name = person(rng, land).split()[0] + rng.choice((" Brothers", "", f" {made_up_word(rng, 1)}", " & Sons"))
    elif kind < 0.9:
        name = " ".join(made_up_word(rng, 1) for _ in range(rng.choice((2, 3))))
    else:
        name = rng.choice("ABCDEGHKLMPRSTY") + rng.choice((". ", " ")) + rng.choice("BCDFHJKLMNPSTW") + ". "
        name = name.replace(". ", rng.choice((". ", " "))) + made_up_word(rng)
    if land.name == "Malaysia" and rng.random() < 0.08:
        number = rng.randint(2, 99)
        name = rng.choice((f"{name} {number}", f"{number} {name}", f"{name} {str(number % 10) * 3}"))
    words = [name.strip()]
    if land.name == "Malaysia" and rng.random() < 0.25:
        words.insert(0, rng.choice(MALAY[trade]))
    elif rng.random() < 0.75:
        words.append(rng.choice(TRADES[trade]))
    if rng.random() < 0.2:
        words.append(rng.choice(("Enterprise", "Trading", "International", "Group", "Industries", "Resources")))
    if rng.random() < 0.15:
        words.append(f"({rng.choice(land.marks)})")
    words.append(rng.choice(land.forms))
    return " ".join(word for word in words if word)
