"""Countries in which documents are made up: addresses, numbers, money, taxes and ways to write dates."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Land:
    """How documents of a country look.

    Attributes:
        name: Its name.
        money: Marks before an amount.
        tax: Name of its sales tax.
        rates: Its rates in percent.
        tax_number: Labels of a company's tax number, with the number's pattern.
        registered: Pattern of a company's registration number.
        forms: Legal forms of companies.
        marks: What companies put in brackets behind their name.
        people: Kinds of names.
        streets: Patterns of a street with a number.
        areas: Patterns of a part of a town.
        towns: Towns with the pattern of their post code.
        regions: States or provinces, by number of the town's; empty where no address has them.
        town: Pattern of the line with the town.
        phone: Pattern of telephone numbers.
        dates: Ways to write a date, as `strftime` has them.
        nickel: Whether cash is rounded to 5 cents.
    """

    name: str
    money: tuple[str, ...]
    tax: str
    rates: tuple[float, ...]
    tax_number: tuple[tuple[str, str], ...]
    registered: str
    forms: tuple[str, ...]
    marks: tuple[str, ...]
    people: tuple[str, ...]
    streets: tuple[str, ...]
    areas: tuple[str, ...]
    towns: tuple[tuple[str, str], ...]
    regions: tuple[str, ...]
    town: str
    phone: tuple[str, ...]
    dates: tuple[str, ...]
    nickel: bool = False


BRITISH = ("%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y", "%d-%m-%y", "%d %b %Y", "%d %B %Y", "%Y-%m-%d", "%d.%m.%Y", "%d-%b-%y")
MALAYSIA = Land(
    name="Malaysia",
    money=("RM", "RM ", "", "", "", "MYR "),
    tax="GST",
    rates=(6, 6, 6, 10),
    tax_number=(("GST ID", "00##########"), ("GST Reg No", "00##########"), ("GST No.", "00##########"),
                ("GST ID No", "00##########"), ("GST REG NO.", "00##########")),
    registered="######-@",
    forms=("SDN BHD", "SDN BHD", "Sdn Bhd", "SDN. BHD.", "ENTERPRISE", "Sdn. Bhd.", "TRADING", "(M) SDN BHD",
           "Enterprise", "S/B", "BHD", "", ""),
    marks=("M", "KL", "JB", "PJ", "MALAYSIA", "SEL"),
    people=("chinese", "chinese", "malay", "indian"),
    streets=(
        "NO. ?, JALAN % #/#?", "NO ?&?, JALAN %", "LOT ??#-@, JALAN %", "NO.?, JLN % ?", "?, JALAN % ?/?@",
        "G-?, PERSIARAN %", "NO.?? & ??, JALAN %", "NO. ??-G, JALAN % ?", "NO ?? ??, JALAN % ?", "??-?, LORONG %",
        "LOT @?# & @?#, GROUND FLOOR", "LEVEL ?, MENARA %", "PT ?###, JALAN %", "?, JALAN SS??/?", "NO.??, JALAN ?/??@",
        "UNIT ?-??, % MALL", "@-#?-?, BLOCK @, JALAN %", "LOT ?##, ??# FLOOR, % PLAZA", "?A, PESARA %",
    ),
    areas=("TAMAN %", "TAMAN %", "BANDAR %", "KAWASAN PERINDUSTRIAN %", "TAMAN % INDAH", "SEKSYEN ?",
           "PUSAT BANDAR %", "%", "SEKSYEN ?, BANDAR %", "TAMAN BUKIT %", "KAMPUNG %", "OFF JALAN %", "MEDAN %", ""),
    towns=(
        ("JOHOR BAHRU", "81?00"), ("PETALING JAYA", "47?00"), ("KUALA LUMPUR", "5?#00"), ("SHAH ALAM", "40?00"),
        ("KLANG", "41?00"), ("IPOH", "30?00"), ("MELAKA", "75?50"), ("SEREMBAN", "70?00"), ("KAJANG", "43000"),
        ("BATU CAVES", "68100"), ("PUCHONG", "47100"), ("GEORGETOWN", "10?50"), ("KUALA LUMPUR", "5?200"),
        ("SERI KEMBANGAN", "43300"), ("CHERAS", "43200"), ("SUBANG JAYA", "47500"), ("RAWANG", "48000"),
        ("SKUDAI", "81300"), ("MUAR", "84000"), ("BATU PAHAT", "83000"), ("KUANTAN", "25?00"), ("ALOR SETAR", "05?00"),
        ("BUTTERWORTH", "12?00"), ("KUCHING", "93?00"), ("KOTA KINABALU", "88?00"), ("AMPANG", "68000"),
        ("SETAPAK", "53?00"), ("NILAI", "71800"), ("TAIPING", "34000"), ("KULAI", "81000"),
    ),
    regions=(
        "JOHOR", "SELANGOR", "W.P.", "SELANGOR", "SELANGOR", "PERAK", "MELAKA", "N.S.", "SELANGOR", "SELANGOR",
        "SELANGOR", "PENANG", "MALAYSIA", "SELANGOR DARUL EHSAN", "SELANGOR", "SELANGOR DARUL EHSAN", "SELANGOR",
        "JOHOR DARUL TAKZIM", "JOHOR", "JOHOR", "PAHANG", "KEDAH", "PULAU PINANG", "SARAWAK", "SABAH", "SELANGOR",
        "KUALA LUMPUR", "NEGERI SEMBILAN", "PERAK", "JOHOR",
    ),
    town="{code} {town}{, }{region}",
    phone=("0?-#######", "0?-### ####", "03-#### ####", "01?-#######", "+603-########", "03-########"),
    dates=(*BRITISH, *("%d/%m/%Y",) * 6, "%d-%m-%Y", "%d-%m-%y", "%Y%m%d", "%d %b %Y"),
    nickel=True,
)  # fmt: skip
SINGAPORE = Land(
    name="Singapore",
    money=("$", "S$", "", "SGD "),
    tax="GST",
    rates=(7, 8, 9),
    tax_number=(("GST Reg. No.", "20#######@"), ("GST REG NO", "M#-#######-#"), ("GST Reg No", "20#######@")),
    registered="20#######@",
    forms=("PTE LTD", "Pte. Ltd.", "PTE. LTD.", "LLP", "Pte Ltd"),
    marks=("S", "FAR EAST", "ASIA"),
    people=("chinese", "chinese", "malay", "indian", "english"),
    streets=("BLK ??# % Avenue ? #0?-??", "?? % Road", "??# % Street ?? #0?-0?", "? % Lane", "#B1-?? % Mall, ? % Walk"),
    areas=("",),
    towns=(("Singapore", "######"),),
    regions=(),
    town="{town} {code}",
    phone=("6### ####", "+65 6### ####", "9#######"),
    dates=BRITISH,
    nickel=True,
)
BRITAIN = Land(
    name="United Kingdom",
    money=("£", "£", "", "GBP "),
    tax="VAT",
    rates=(20, 20, 5),
    tax_number=(("VAT No", "### #### ##"), ("VAT Reg No:", "GB#########"), ("VAT Number", "GB ### #### ##")),
    registered="########",
    forms=("Ltd", "Limited", "LTD.", "plc", "& Co.", "LLP", ""),
    marks=("UK", "Holdings", "Northern"),
    people=("english", "english", "indian"),
    streets=("?? % Street", "??? % Road", "? % Lane", "Unit ?, % Estate", "?@ High Street", "The % Centre, ? % Way"),
    areas=("", "", "%ton", "% Green", "Upper %"),
    towns=(("Leeds", "LS?? #@@"), ("Bristol", "BS? #@@"), ("London", "SE?? #@@"), ("York", "YO? #@@"),
           ("Derby", "DE?? #@@"), ("Cardiff", "CF?? #@@"), ("Glasgow", "G?? #@@"), ("Exeter", "EX? #@@")),
    regions=(),
    town="{town} {code}",
    phone=("0#### ######", "020 7### ####", "(0###) ### ####", "+44 #### ######"),
    dates=BRITISH,
)  # fmt: skip
AMERICA = Land(
    name="United States",
    money=("$", "$", "", "USD "),
    tax="Tax",
    rates=(6.25, 8.875, 7, 5.5, 4),
    tax_number=(("Tax ID", "##-#######"), ("EIN", "##-#######")),
    registered="#######",
    forms=("Inc.", "LLC", "INC", "Co.", "Corp.", "", ""),
    marks=("USA", "West", "NY"),
    people=("english", "english", "chinese", "indian"),
    streets=("??#? % Ave", "?## % St.", "?##? N % Blvd, Suite ?##", "??# % Road", "?#? W ?#th Street",
             "?## Highway ??"),
    areas=("",),
    towns=(("Austin", "787##"), ("Columbus", "432##"), ("Denver", "802##"), ("Portland", "972##"), ("Boston", "021##"),
           ("Tucson", "857##"), ("Memphis", "381##"), ("Seattle", "981##")),
    regions=("TX", "OH", "CO", "OR", "MA", "AZ", "TN", "WA"),
    town="{town}, {region} {code}",
    phone=("(2##) 5##-####", "3##-5##-####", "1-800-###-####", "4##.5##.####"),
    dates=("%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y", "%b %d, %Y", "%B %d, %Y", "%Y-%m-%d"),
)  # fmt: skip
AUSTRALIA = Land(
    name="Australia",
    money=("$", "$", "", "AUD "),
    tax="GST",
    rates=(10,),
    tax_number=(("ABN", "## ### ### ###"), ("ABN:", "###########")),
    registered="### ### ###",
    forms=("Pty Ltd", "PTY LTD", "Pty. Ltd.", ""),
    marks=("AUST", "VIC", "QLD"),
    people=("english", "english", "chinese"),
    streets=("?? % Street", "Shop ?, ??# % Road", "??# % Parade", "Unit ?/?? % Drive"),
    areas=("%", "% Heights", "% Beach"),
    towns=(("Perth", "60##"), ("Brisbane", "40##"), ("Geelong", "32##"), ("Hobart", "70##"), ("Adelaide", "50##")),
    regions=("WA", "QLD", "VIC", "TAS", "SA"),
    town="{town} {region} {code}",
    phone=("(0?) #### ####", "04## ### ###", "1300 ### ###"),
    dates=BRITISH,
    nickel=True,
)
LANDS = (*(MALAYSIA,) * 5, *(SINGAPORE,) * 2, *(BRITAIN,) * 2, *(AMERICA,) * 2, AUSTRALIA)
"""The countries, as often as documents come from there."""
TILLS = (*(MALAYSIA,) * 16, *(SINGAPORE,) * 2, *(BRITAIN,) * 2, *(AMERICA,) * 2, AUSTRALIA)
"""The countries, as often as receipts come from there: the ones that are published for measuring are Malaysian."""


def filled(rng: random.Random, pattern: str, word: str = "") -> str:
    """Fill a pattern: `#` any digit, `?` one that is not 0, `@` a capital, `%` a word."""

    def one(match: re.Match) -> str:
        made = {"#": str(rng.randrange(10)), "?": str(rng.randrange(1, 10)), "@": rng.choice("ABCDEFGHKLMPRSTUVWX")}
        return made.get(match.group(), word)

    return re.sub(r"[#?@%]", one, pattern)


def address(rng: random.Random, land: Land, word: str, other: str) -> list[str]:
    """Return the lines of an address in which `word` names the street and `other` the part of the town."""
    number = rng.randrange(len(land.towns))
    town, code = land.towns[number]
    region = land.regions[number] if land.regions else ""
    joint = rng.choice((", ", ",", " "))
    told = {"town": town, "code": filled(rng, code), "region": region}
    last = land.town.replace("{, }", joint).format(**told)
    lines = [filled(rng, rng.choice(land.streets), word), filled(rng, rng.choice(land.areas), other), last]
    lines = [line for line in lines if line]
    if land is MALAYSIA:
        if rng.random() < 0.25:  # the state on a line of its own
            lines = [*lines[:-1], f"{told['code']} {town}", region]
        lines = [line.upper() for line in lines] if rng.random() < 0.8 else [line.title() for line in lines]
    comma = "," if rng.random() < 0.7 and land.name != "United States" else ""
    lines = [line + comma for line in lines[:-1]] + [lines[-1] + rng.choice(("", "", "."))]
    while len(lines) > 2 and rng.random() < 0.25:
        at = rng.randrange(len(lines) - 2)
        lines[at : at + 2] = [f"{lines[at]} {lines[at + 1]}"]
    return lines
