"""What prompts are about, by kind, and how it is asked: lists of our own."""

from __future__ import annotations


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|"))


TOPICS = {
    "animal": _parts(
        "a cat|a dog|a horse|an elephant|a whale|a honeybee|an eagle|a penguin|a frog|a spider|a salmon|a tortoise|"
        "a fox|a wolf|a rabbit|a giraffe|a crocodile|an octopus|a butterfly|an owl|a bat|a kangaroo|a camel|a shark|"
        "a hedgehog|a parrot|an ant|a snail|a dolphin|a cow"
    ),
    "thing": _parts(
        "a hammer|a bicycle|a telescope|a clock|an umbrella|a candle|a mirror|a compass|a ladder|a battery|a camera|"
        "a thermometer|a violin|a piano|a printing press|a bridge|a lighthouse|a sailing boat|a steam engine|a zip|"
        "a refrigerator|a pair of scissors|a lock|a wheel|a kite|a microscope|a map|a calendar|a tent|a pencil"
    ),
    "food": _parts(
        "bread|cheese|rice|an omelette|tomato soup|pancakes|a fruit salad|green tea|coffee|pasta|yoghurt|honey|"
        "an apple pie|roast potatoes|lentil stew|hot chocolate|dumplings|a sandwich|curry|olive oil|chocolate|noodles"
    ),
    "science": _parts(
        "gravity|photosynthesis|evaporation|magnetism|an atom|electricity|the water cycle|a volcano|an earthquake|"
        "a rainbow|the tides|friction|sound|light|a cell|an ecosystem|an eclipse|the seasons|density|rust|erosion|"
        "a chemical reaction|a vaccine|the carbon cycle|the nervous system|digestion|heat|a lever|a galaxy|a fossil"
    ),
    "place": _parts(
        "France|Japan|Egypt|Brazil|Canada|Kenya|India|Australia|Italy|Norway|Mexico|Turkey|Greece|China|Peru|Spain|"
        "Iceland|Vietnam|Morocco|Poland|New Zealand|Germany|Thailand|Argentina|Sweden|Portugal|Ireland|Indonesia"
    ),
    "work": _parts(
        "a teacher|a nurse|a baker|a carpenter|a pilot|a farmer|a librarian|a plumber|an architect|a journalist|"
        "a gardener|a chemist|a fire fighter|a translator|a tailor|an electrician|a judge|a cook|a postman|a vet"
    ),
    "idea": _parts(
        "friendship|patience|courage|honesty|justice|freedom|curiosity|teamwork|gratitude|memory|sleep|exercise|"
        "reading|democracy|trade|money|language|music|painting|history|mathematics|recycling|kindness|time|luck"
    ),
    "task": _parts(
        "learn a new language|save money|sleep better|grow tomatoes|write a letter|prepare for an exam|pack a suitcase|"
        "clean a window|change a light bulb|make a budget|give a short talk|boil an egg|plant a tree|fold a shirt|"
        "remember names|calm down|choose a book|read a map|wrap a present|save water at home|tie a knot|start running|"
        "take good notes|mend a bicycle tyre|keep a room tidy|thank somebody|say sorry|find a typing error"
    ),
}
"""Topics by kind."""

ASKED = {
    "animal": _parts(
        "What does {} eat?|Where does {} live?|Describe {} in one sentence.|Tell me a fact about {}.|"
        "Write a short riddle about {}.|How does {} move?|Write two sentences of a story about {}.|"
        "What sound does {} make?|Is {} a mammal? Answer in one sentence."
    ),
    "thing": _parts(
        "What is {} used for?|Describe {} in one sentence.|How does {} work? Answer in two sentences.|"
        "What is {} made of?|Give one reason to own {}.|Explain to a child what {} is.|"
        "Write a sentence with the words: {}, morning, quiet."
    ),
    "food": _parts(
        "What goes well with {}?|How is {} made? Answer in two sentences.|Is {} healthy? Answer briefly.|"
        "List three ingredients for {}.|Describe the taste of {} in one sentence.|What is {}?"
    ),
    "science": _parts(
        "What is {}?|Explain {} in one sentence.|Explain {} to a child.|Why does {} matter? Answer briefly.|"
        "Give an example of {}.|Write one question about {} for a quiz."
    ),
    "place": _parts(
        "What is the capital of {}?|On which continent is {}?|Name one famous sight of {}.|Tell me a fact about {}.|"
        "Which language is spoken in {}?|Describe {} in one sentence.|Name a dish from {}."
    ),
    "work": _parts(
        "What does {} do?|Which tools does {} need? Name three.|Describe a day of {} in two sentences.|"
        "Why do we need {}?|What should {} be good at? Answer in one sentence."
    ),
    "idea": _parts(
        "What is {}?|Why is {} important? Answer in one sentence.|Write a short saying about {}.|"
        "Write a title for an essay about {}.|Give an example of {}.|What is the opposite of {}?"
    ),
    "task": _parts(
        "How can I {}?|Give me three short tips: how to {}.|What is the first step if I want to {}?|"
        "Write one encouraging sentence for somebody who wants to {}.|Why should I {}?"
    ),
}
"""Questions by the kind of their topic."""

LONG = _parts(
    "Write an essay about {}.|Write a long article about {} for an encyclopaedia.|Write a story about {}.|"
    "Write the first page of a book about {}.|Explain all that you know about {}, in several paragraphs.|"
    "Write a letter to a friend about {}.|Write a report about {} for a newspaper.|"
    "Write the introduction to a manual about {}.|Discuss {} from several points of view."
)
"""Requests whose answers are pages of prose."""
WRITTEN_ABOUT = ("animal", "thing", "food", "science", "place", "work", "idea")
"""Kinds of topics for them."""

SMALL_TALK = _parts(
    "Hello!|Hi, how are you?|Who are you?|What can you do?|Thank you for your help.|Good morning!|Tell me a joke.|"
    "Say something nice.|What is your name?|Can you help me?|Goodbye!|I am bored.|Write a haiku.|Are you a robot?|"
    "Give me a word of the day.|I had a long day.|Recommend a hobby.|What is the meaning of life?|Count to five.|"
    "Say hello in French.|Name three colours.|Name the days of the week.|How many minutes has an hour?"
)
"""What is said to begin with, as it is."""
