"""Make the words of the pictures engine from WordNet: what a noun is called in common words, and ImageNet's classes.

    python benchmarks/make_picture_words.py WORDNET SYNSETS [-o src/sphinx_x/engines/pictures]

WORDNET is the folder with `index.noun` and `data.noun` (Debian's wordnet-base: /usr/share/wordnet; the WordNet 3.0
licence). SYNSETS is a text file with the 1,000 synsets of ImageNet's classes in their usual order, one `n01440764` a
line (in the wheel of timm, Apache-2.0: timm/data/_info/imagenet_synsets.txt). A noun gets the nearest common word above
the first sense in which it is below one; the common words are COCO's categories and others that a child would use.
"""

from __future__ import annotations

import argparse
import gzip
import io
from collections import defaultdict
from collections.abc import Callable, Container
from pathlib import Path

COMMON = """
person:person dog:dog cat:cat,domestic_cat bird:bird fish:fish horse:horse zebra:zebra donkey:donkey,ass
cow:cow,cattle,bovine sheep:sheep goat:goat pig:pig,swine elephant:elephant bear:bear panda:giant_panda
giraffe:giraffe camel:camel,Arabian_camel deer:deer antelope:antelope lion:lion tiger:tiger leopard:leopard
cheetah:cheetah,jaguar#1 fox:fox wolf:wolf rabbit:rabbit,hare squirrel:squirrel mouse:mouse rat:rat hamster:hamster
hedgehog:porcupine kangaroo:kangaroo koala:koala monkey:monkey,lemur,lesser_ape gorilla:gorilla,great_ape
hippo:hippopotamus rhinoceros:rhinoceros seal:seal#9,sea_lion whale:whale,killer_whale dolphin:dolphin#2 shark:shark
crocodile:crocodilian_reptile snake:snake lizard:lizard turtle:turtle#2 frog:frog salamander:salamander
dinosaur:dinosaur butterfly:butterfly moth:moth bee:bee ant:ant beetle:beetle fly:fly dragonfly:dragonfly
grasshopper:grasshopper,cricket spider:spider scorpion:scorpion insect:insect crab:crab lobster:lobster,crayfish
shrimp:shrimp octopus:octopus jellyfish:jellyfish snail:snail shell:seashell worm:worm coral:coral#4,coral#2
starfish:starfish weasel:musteline_mammal raccoon:raccoon,lesser_panda bat:bat sloth:sloth armadillo:armadillo
beaver:beaver#7 otter:otter
hyena:hyena mongoose:viverrine car:car,racer#3 truck:truck bus:bus,trolleybus train:train,locomotive,railcar
tram:streetcar airplane:airplane helicopter:helicopter balloon:balloon airship:airship rocket:rocket,missile
boat:boat,ship,vessel#2 submarine:submarine bicycle:bicycle motorcycle:motorcycle,motor_scooter tricycle:tricycle
tractor:tractor cart:cart,wagon,sled ambulance:ambulance tank:tank parachute:parachute skateboard:skateboard
surfboard:surfboard skis:ski chair:chair couch:sofa bench:bench stool:stool bed:bed,cradle table:table#2,table#3
desk:desk bookshelf:bookcase cabinet:cabinet,chest_of_drawers,wardrobe,chiffonier shelf:shelf lamp:lamp,lamp#2
candle:candle clock:clock watch:watch mirror:mirror curtain:curtain carpet:rug pillow:pillow
toilet:toilet_seat,toilet#2 bathtub:bathtub sink:washbasin,washbasin#2,sink potted plant:flowerpot,houseplant
refrigerator:refrigerator oven:oven stove:stove,stove#2 microwave:microwave toaster:toaster dishwasher:dishwasher
washer:washer fan:fan vacuum:vacuum iron:iron#4 bottle:bottle cup:cup,mug#4,coffee_cup glass:glass#2 bowl:bowl,bowl#3
plate:plate#4 fork:fork knife:knife,cutter#6 spoon:spoon pot:pot,caldron pan:pan,pan#2 kettle:kettle,teapot
pitcher:pitcher,ewer jar:jar can:can bucket:bucket barrel:barrel basket:basket box:box,carton,crate vase:vase teddy
bear:teddy doll:doll puppet:puppet television:television,television_receiver,television#2 laptop:laptop
computer:computer monitor:monitor#4,display#4 keyboard:keyboard,computer_keyboard phone:telephone,cellular_telephone
camera:camera radio:radio#2,radio_receiver speaker:loudspeaker microphone:microphone printer:printer#3,printer#2
remote control:remote_control guitar:guitar violin:violin,bowed_stringed_instrument piano:piano drum:drum flute:flute
trumpet:trumpet,brass#2 saxophone:sax,single-reed_instrument accordion:accordion harp:harp banjo:banjo bell:bell
book:book#2,book newspaper:newspaper pen:pen pencil:pencil scissors:scissors hammer:hammer#2 screwdriver:screwdriver
saw:saw#2,power_saw axe:ax nail:nail#2 screw:screw,screw#4 key:key lock:lock ladder:ladder rope:rope shovel:shovel
broom:broom umbrella:umbrella handbag:bag#4,bag backpack:backpack suitcase:bag#6,suitcase wallet:wallet
glasses:spectacles,sunglasses hat:hat,cap,headdress helmet:helmet shirt:shirt dress:dress,gown skirt:skirt
coat:coat,cloak,jacket sweater:sweater trousers:trouser,trouser#1,pants shoe:shoe,boot sock:sock,hosiery glove:glove
tie:necktie,bow_tie scarf:scarf swimsuit:swimsuit crown:crown#2,crown ring:ring#8 necklace:necklace mask:mask
ball:ball baseball bat:bat#5,cricket_bat tennis racket:racket,racket#4 kite:kite frisbee:Frisbee dumbbell:dumbbell
apple:apple orange:orange banana:banana lemon:lemon lime:lime#6 strawberry:strawberry grapes:grape pineapple:pineapple
cherry:cherry#3 pear:pear peach:peach watermelon:watermelon melon:melon tomato:tomato,tomato#2
potato:potato,potato#2 carrot:carrot,carrot#2 broccoli:broccoli,broccoli#2 cauliflower:cauliflower cabbage:cabbage
cucumber:cucumber,cucumber#2 pepper:sweet_pepper,capsicum corn:corn,corn#2,corn#3 pumpkin:pumpkin,squash,squash#2
onion:onion mushroom:mushroom,fungus,mushroom#3 nut:nut artichoke:artichoke pizza:pizza sandwich:sandwich
hamburger:hamburger,beefburger hot dog:hot_dog,frank#2 cake:cake pie:pie bread:bread cookie:cookie doughnut:doughnut
ice cream:ice_cream,frozen_dessert pasta:pasta,spaghetti soup:soup egg:egg,egg#2 cheese:cheese meat:meat candy:candy
coffee:coffee tea:tea wine:wine beer:beer juice:juice flower:flower tree:tree cactus:cactus fern:fern house:house
church:church castle:castle,palace tower:tower bridge:bridge lighthouse:beacon,lighthouse barn:barn
windmill:windmill,wind_turbine fountain:fountain fence:fence tent:tent,yurt mosque:mosque temple:stupa,temple
statue:statue flag:flag sign:street_sign,signboard traffic light:traffic_light parking meter:parking_meter
mailbox:mailbox,letter_box coin:coin,penny medal:medal map:map dice:die toothbrush:toothbrush soap:soap brush:brush#2
comb:comb hair dryer:hand_blower syringe:syringe pill:pill telescope:telescope microscope:microscope
binoculars:binoculars magnifying glass:hand_glass,magnifier gun:gun,firearm sword:sword bow:bow#4 cannon:cannon#2
anchor:anchor wheel:wheel tire:tire paddle:paddle,oar swing:swing slide:slide#6 mountain:mountain,alp volcano:volcano
valley:valley cliff:cliff beach:seashore,beach,sandbar lake:lake,lakeside waterfall:waterfall star:star#3
snowman:snowman dam:dam
"""
GROUPS = {
    "person": "person", "animal": "animal", "vehicle": "vehicle", "craft": "vehicle", "furniture": "furniture",
    "food": "food", "food#2": "food", "fruit": "food", "vegetable": "food", "edible_fruit": "food",
    "clothing": "clothing", "footwear": "clothing", "footwear#2": "clothing", "musical_instrument": "instrument",
    "kitchen_utensil": "kitchen", "tableware": "kitchen", "cutlery": "kitchen", "kitchen_appliance": "kitchen",
    "container": "container", "tool": "tool", "building": "building", "structure": "building", "plant#2": "plant",
    "geological_formation": "nature", "body_of_water": "nature", "electronic_equipment": "electronics",
    "home_appliance": "electronics", "machine": "electronics", "sports_equipment": "sport", "weapon": "weapon",
    "bag": "clothing", "toy": "toy", "device": "device", "equipment": "device", "artifact": "thing", "fungus": "plant",
}  # fmt: skip
SORTS = {
    "microwave": "kitchen", "toaster": "kitchen", "stove": "kitchen", "oven": "kitchen", "refrigerator": "kitchen",
    "cup": "kitchen", "bottle": "kitchen", "bowl": "kitchen", "fork": "kitchen", "knife": "kitchen",
    "spoon": "kitchen", "glass": "kitchen", "plate": "kitchen", "pot": "kitchen", "pan": "kitchen",
    "kettle": "kitchen", "pitcher": "kitchen", "ball": "sport", "skateboard": "sport", "surfboard": "sport",
    "skis": "sport", "frisbee": "sport", "kite": "sport", "tennis racket": "sport", "baseball bat": "sport",
    "toilet": "furniture", "sink": "furniture", "bathtub": "furniture", "lamp": "furniture", "mirror": "furniture",
    "clock": "furniture", "vase": "furniture", "television": "electronics", "laptop": "electronics",
    "computer": "electronics", "monitor": "electronics", "keyboard": "electronics", "phone": "electronics",
    "camera": "electronics", "radio": "electronics", "speaker": "electronics", "remote control": "electronics",
    "printer": "electronics", "umbrella": "clothing", "handbag": "clothing", "backpack": "clothing",
    "suitcase": "clothing", "glasses": "clothing", "watch": "clothing", "helmet": "clothing", "book": "thing",
    "fence": "building", "sign": "street", "traffic light": "street", "parking meter": "street",
    "mailbox": "street", "bench": "furniture", "balloon": "toy", "tree": "plant", "flower": "plant",
    "teddy bear": "toy",
}  # fmt: skip
"""Groups that WordNet puts elsewhere than in the company in which pictures show them."""


SPOKEN = {
    "donut": "doughnut", "hair drier": "hair dryer", "remote": "remote control", "tv": "television",
    "cell phone": "phone", "fries": "french fries", "peacock": "bird", "scooter": "motorcycle", "kitten": "cat",
    "mug": "cup", "football": "ball", "hog": "pig",
}  # fmt: skip
"""Names that WordNet has not, or under another sense, and their common words."""
THINGS = ("animal", "food", "vehicle")
SEEN = """
adder amazon booby bunny canary chameleon chum coach coon cuckoo dodo fledgling gobbler gopher grenadier gull
hammerhead hotdog jackass loon macaroni ostrich piranha pouter pussycat roly-poly scorpion setter shrew shrimp skunk
smoothie snapper stroller taco tart thoroughbred tiger trailer trawler tumbler vixen warbler watchdog weasel whale
"""
"""Nouns of which pictures show the animal, dish or vehicle, and not the person that WordNet has first."""
UNSURE = ("plunger",)
"""Nouns of which WordNet has a person only."""


class WordNet:
    """Nouns, their senses, and what is above and below these."""

    def __init__(self, folder: Path) -> None:
        self.senses: dict[str, list[str]] = {}
        for line in (folder / "index.noun").read_text().splitlines():
            if not line.startswith(" "):
                fields = line.split()
                self.senses[fields[0]] = fields[-int(fields[2]) :]
        self.lemmas: dict[str, list[str]] = {}
        self.above: dict[str, list[str]] = {}
        self.below: dict[str, list[str]] = defaultdict(list)
        for line in (folder / "data.noun").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split(" | ")[0].split()
            name, count = fields[0], int(fields[3], 16)
            self.lemmas[name] = fields[4 : 4 + 2 * count : 2]
            pointers = fields[5 + 2 * count :]
            self.above[name] = [pointers[k + 1] for k in range(0, len(pointers), 4) if pointers[k] == "@"]
            for other in self.above[name]:
                self.below[other].append(name)

    def synset(self, given: str) -> str:
        """Return the synset of `lemma` (its first sense) or `lemma#2`."""
        lemma, _, number = given.partition("#")
        return self.senses[lemma.lower()][int(number or 1) - 1]

    def first(self, lemma: str, group_of: Callable[[str], str], wanted: Container[str]) -> str | None:
        """Return the first sense of a noun that is of a wanted group, or None."""
        return next((one for one in self.senses[lemma] if group_of(one) in wanted), None)

    def nearest(self, synset: str, wanted: dict[str, str]) -> str:
        """Return the value of the nearest synset at or above one that is wanted; empty if there is none."""
        level, seen = [synset], set()
        while level:
            for one in level:
                if one in wanted:
                    return wanted[one]
            seen |= set(level)
            level = [up for one in level for up in self.above[one] if up not in seen]
        return ""


def common(net: WordNet, group_of: Callable[[str], str]) -> dict[str, str]:
    """Return the common word of each synset that is one, from `COMMON`.

    A noun without a number has its first sense that is no person and has a group, if there is one: a tiger is an
    animal.
    """
    sorts = {group for group in GROUPS.values() if group != "person"}
    found: dict[str, str] = {}
    word: list[str] = []
    for token in COMMON.split():
        first, colon, rest = token.partition(":")
        word.append(first)
        if not colon:
            continue
        for given in rest.split(","):
            try:
                synset = net.synset(given)
                if "#" not in given and word != ["person"] and group_of(synset) in ("", "person"):
                    synset = net.first(given.lower(), group_of, sorts) or synset
                found[synset] = " ".join(word)
            except (KeyError, IndexError):
                print(f"no such noun in WordNet: {given}")
        word = []
    return found


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("wordnet", type=Path)
    parser.add_argument("synsets", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("src/sphinx_x/engines/pictures"))
    args = parser.parse_args()
    net = WordNet(args.wordnet)
    groups = {net.synset(given): group for given, group in GROUPS.items()}

    def group_of(synset: str) -> str:
        return net.nearest(synset, groups)

    wanted = common(net, group_of)

    def told(synset: str) -> tuple[str, str]:
        word = net.nearest(synset, wanted)
        return word, SORTS.get(word) or group_of(synset)

    lines = []
    for noun, senses in sorted(net.senses.items()):
        # a people's name before the dog's: the Dalmatian
        senses = [one for one in senses if not (told(one)[0] == "person" and net.lemmas[one][0][0].isupper())]
        if noun in SEEN.split():
            senses = [one for one in senses if group_of(one) in THINGS]
        elif senses and group_of(senses[0]) == "food":  # a fish is first what is eaten of it
            senses.sort(key=lambda one: group_of(one) != "animal")
        word, group = told(senses[0]) if senses and noun not in UNSURE else ("", "")
        if word == "tree":  # a fruit's name is first that of its tree: mango
            fruit = next((one for one in senses if net.nearest(one, groups) == "food"), "")
            word, group = (net.nearest(fruit, wanted) or noun.replace("_", " "), "food") if fruit else (word, group)
        if word and group and not any(char.isdigit() for char in noun):
            lines.append(f"{noun.replace('_', ' ')}\t{word}\t{group}\n")
    for word in sorted(set(wanted.values())):  # a common word means itself, whatever its first sense is
        synset = next(one for one, name in wanted.items() if name == word)
        lines = [line for line in lines if not line.startswith(f"{word}\t")]
        lines.append(f"{word}\t{word}\t{told(synset)[1]}\n")
    sort_of = dict(line.rstrip("\n").split("\t", 1) for line in lines)
    for noun, word in SPOKEN.items():
        group = sort_of.get(word, "\tfood").split("\t")[1]
        lines = [line for line in lines if not line.startswith(f"{noun}\t")]
        lines.append(f"{noun}\t{word}\t{group}\n")
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write("".join(sorted(lines)).encode())
    (args.out / "nouns.tsv.gz").write_bytes(packed.getvalue())
    rows = []
    for name in args.synsets.read_text().split():
        synset = name.removeprefix("n")
        lemma = net.lemmas[synset][0].replace("_", " ")
        word, group = told(synset)
        rows.append(f"{lemma}\t{word or lemma}\t{group}\n")
    (args.out / "classes.tsv").write_text("".join(rows), encoding="utf-8")
    words = {row.split("\t")[1] for row in rows}
    print(f"{len(lines)} nouns, {len(wanted)} common senses, {len(words)} words of classes")


if __name__ == "__main__":
    main()
