"""How a page is asked about, in the languages in which this can be said: English, German, French, Spanish, Italian and
Portuguese. Pages in any other language, or in one that cannot be told, are asked about in English.

`{}` stands for a text, a box, a number or a name. What a text is quoted in is `"` everywhere: it is a key that is
searched for, not typography, and pages with such a sign in the text are not asked about it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sphinx_x.boxes import Box
from sphinx_x.sources.dialogue import Content, boxes
from sphinx_x.sources.layout import DETECT, NUMBERS
from sphinx_x.sources.spotting import DETECT as SPOT_PAGE

Texts = tuple[str, ...]


@dataclass(frozen=True)
class Noun:
    """A class of the layout: with the article or number one as it follows `there is`, several, all, and none of it."""

    one: str
    several: str
    all: str
    none: str
    feminine: bool = False


@dataclass(frozen=True)
class Wordings:
    """Questions of every kind, and how their answers are said in one language.

    there_is, there_are: before and after what is counted; none: for a class that is not there; words: as there_is and
    there_are, for the words of a page; numbers: from two on, two: in the feminine.
    """

    read_page: Texts
    read_part: Texts
    read_region: Texts
    find: Texts
    spot_page: Texts
    spot_region: Texts
    layout: Texts
    layout_of: Texts
    order: Texts
    order_of: Texts
    continue_text: Texts
    nouns: Mapping[str, Noun]
    there_is: tuple[str, str]
    there_are: tuple[str, str]
    none: str
    words: tuple[tuple[str, str], tuple[str, str]]
    numbers: Texts
    conjunction: str
    two: str = ""

    def number(self, count: int, feminine: bool = False) -> str:
        """A count from two on in words up to twelve, in digits above."""
        if count == 2 and feminine and self.two:
            return self.two
        return self.numbers[count - 2] if count - 2 < len(self.numbers) else str(count)

    def counted(self, places: Mapping[str, Sequence[Box]]) -> list[str | Mapping[str, Any]]:
        """`There are seven text blocks[...], two figures[...] and one title[...] in the image.`, the commonest class
        first; of a class without a place that there is none of it."""
        order = sorted(places.items(), key=lambda item: -len(item[1]))
        if not order[0][1]:
            return [self.none.format(self.nouns[order[0][0]].none)]
        groups: list[Sequence[str | Mapping[str, Any]]] = []
        for name, found in order:
            noun = self.nouns[name]
            count = len(found)
            said = noun.one if count == 1 else f"{self.number(count, noun.feminine)} {noun.several}"
            groups.append([said, boxes(found)])
        before, after = self.there_is if len(order[0][1]) == 1 else self.there_are
        return [before, *self.listing(groups), after]

    def spotted(self, words: Sequence[Sequence[str | Mapping[str, Any]]]) -> list[str | Mapping[str, Any]]:
        """`There are word[...], word[...] and word[...] in the image.`; words: each with its box."""
        before, after = self.words[len(words) > 1]
        return [before, *self.listing(words), after]

    def listing(self, items: Sequence[Sequence[str | Mapping[str, Any]]]) -> list[str | Mapping[str, Any]]:
        """Items with their parts, as one list to say."""
        said: list[str | Mapping[str, Any]] = []
        for number, item in enumerate(items):
            if number:
                said.append(self._joint(item[0]) if number == len(items) - 1 else ", ")
            said += item
        return said

    def _joint(self, follows: Content) -> str:
        # `y` before the sound of an i: `e índice`, but `y hierro`
        spanish = self.conjunction == "y" and isinstance(follows, str) and re.match("(?i)h?[ií](?![aeouáéóú])", follows)
        return " e " if spanish else f" {self.conjunction} "


def _nouns(table: str, feminine: str = "") -> dict[str, Noun]:
    """Lines of a class and its four forms, parted by bars. feminine: the classes whose nouns are."""
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return {name: Noun(one, several, every, none, name in feminine.split()) for name, one, several, every, none in rows}


ENGLISH = Wordings(
    read_page=(
        "Read the page.",
        "Read all the text on this page.",
        "What is written on this page? Give the whole text in reading order.",
    ),
    read_part=(
        "Read the page from its beginning, {} blocks of text.",
        "Give the first {} blocks of text on this page in reading order.",
    ),
    read_region=(
        "Read the text in the region {}.",
        "What is written in {}?",
        "Give the text inside the box {}.",
    ),
    find=(
        'Where is "{}"?',
        'Please provide the bounding box coordinate of the text "{}".',
        'Find "{}" on the page.',
    ),
    spot_page=SPOT_PAGE,
    spot_region=(
        "Detect all words in the region {} and provide their bounding box coordinates.",
        "Give every word in {} with its box.",
    ),
    layout=DETECT,
    layout_of=("Where are {}?", "Detect {} in the document."),
    order=(
        "In which order are the blocks of this page read? Give their boxes.",
        "Give the boxes of all blocks in reading order.",
    ),
    order_of=(
        "In which order are these regions read: {}?",
        "Sort these regions in reading order: {}.",
    ),
    continue_text=(
        'The page says "{}". How does the text go on?',
        'Continue the text after "{}" as it stands on the page.',
    ),
    nouns=_nouns(
        """
        title   | one title      | titles      | the titles      | title
        text    | one text block | text blocks | the text blocks | text block
        list    | one list       | lists       | the lists       | list
        table   | one table      | tables      | the tables      | table
        figure  | one figure     | figures     | the figures     | figure
        caption | one caption    | captions    | the captions    | caption
        """
    ),
    there_is=("There is ", " in the image."),
    there_are=("There are ", " in the image."),
    none="There is no {} in the image.",
    words=(("There is ", " in the image."), ("There are ", " in the image.")),
    numbers=NUMBERS[2:],
    conjunction="and",
)

GERMAN = Wordings(
    read_page=(
        "Lies die Seite.",
        "Lies den ganzen Text auf dieser Seite.",
        "Was steht auf dieser Seite? Gib den ganzen Text in Lesereihenfolge wieder.",
    ),
    read_part=(
        "Lies von dieser Seite die ersten {} Textblöcke.",
        "Gib die ersten {} Textblöcke dieser Seite in Lesereihenfolge wieder.",
    ),
    read_region=(
        "Lies den Text im Bereich {}.",
        "Was steht in {}?",
        "Gib den Text innerhalb des Rahmens {} wieder.",
    ),
    find=(
        'Wo steht "{}"?',
        'Gib die Koordinaten des Rahmens um den Text "{}" an.',
        'Finde "{}" auf der Seite.',
    ),
    spot_page=(
        "Finde alle Bereiche mit Text und gib ihren Inhalt an.",
        "Finde alle Texte und gib die Koordinaten ihrer Rahmen an.",
        "Lies den ganzen Text im Bild und gib zu jedem Stück den Rahmen an.",
    ),
    spot_region=(
        "Finde alle Wörter im Bereich {} und gib die Koordinaten ihrer Rahmen an.",
        "Nenne jedes Wort in {} mit seinem Rahmen.",
    ),
    layout=(
        "Bestimme das Layout des Dokuments.",
        "Finde alle Layoutelemente des Dokuments und gib die Koordinaten ihrer Rahmen an.",
        "Wie ist diese Seite aufgebaut? Nenne jede Art von Bereich mit ihren Rahmen.",
    ),
    layout_of=("Wo sind {}?", "Finde {} im Dokument."),
    order=(
        "In welcher Reihenfolge werden die Blöcke dieser Seite gelesen? Gib ihre Rahmen an.",
        "Gib die Rahmen aller Blöcke in Lesereihenfolge an.",
    ),
    order_of=(
        "In welcher Reihenfolge werden diese Bereiche gelesen: {}?",
        "Ordne diese Bereiche nach der Lesereihenfolge: {}.",
    ),
    continue_text=(
        'Auf der Seite steht "{}". Wie geht der Text weiter?',
        'Setze den Text nach "{}" so fort, wie er auf der Seite steht.',
    ),
    nouns=_nouns(
        """
        title   | einen Titel       | Titel          | die Titel          | keinen Titel
        text    | einen Textblock   | Textblöcke     | die Textblöcke     | keinen Textblock
        list    | eine Liste        | Listen         | die Listen         | keine Liste
        table   | eine Tabelle      | Tabellen       | die Tabellen       | keine Tabelle
        figure  | eine Abbildung    | Abbildungen    | die Abbildungen    | keine Abbildung
        caption | eine Beschriftung | Beschriftungen | die Beschriftungen | keine Beschriftung
        """
    ),
    there_is=("Es gibt ", " im Bild."),
    there_are=("Es gibt ", " im Bild."),
    none="Es gibt {} im Bild.",
    words=(("Im Bild steht ", "."), ("Im Bild stehen ", ".")),
    numbers=("zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"),
    conjunction="und",
)

FRENCH = Wordings(
    read_page=(
        "Lis la page.",
        "Lis tout le texte de cette page.",
        "Qu'est-il écrit sur cette page\u00a0? Donne tout le texte dans l'ordre de lecture.",
    ),
    read_part=(
        "Lis les {} premiers blocs de texte de cette page.",
        "Donne les {} premiers blocs de texte de cette page dans l'ordre de lecture.",
    ),
    read_region=(
        "Lis le texte de la région {}.",
        "Qu'est-il écrit dans {}\u00a0?",
        "Donne le texte à l'intérieur du cadre {}.",
    ),
    find=(
        'Où se trouve "{}"\u00a0?',
        'Donne les coordonnées du cadre qui entoure le texte "{}".',
        'Trouve "{}" sur la page.',
    ),
    spot_page=(
        "Détecte toutes les régions qui contiennent du texte et donne leur contenu.",
        "Détecte tous les textes et donne les coordonnées de leurs cadres.",
        "Lis tout le texte de l'image et donne le cadre de chaque élément.",
    ),
    spot_region=(
        "Détecte tous les mots de la région {} et donne les coordonnées de leurs cadres.",
        "Donne chaque mot de {} avec son cadre.",
    ),
    layout=(
        "Détecte la mise en page du document.",
        "Détecte tous les éléments de la mise en page du document et donne les coordonnées de leurs cadres.",
        "Comment cette page est-elle composée\u00a0? Donne chaque type de région avec ses cadres.",
    ),
    layout_of=("Où se trouvent {}\u00a0?", "Détecte {} dans le document."),
    order=(
        "Dans quel ordre lit-on les blocs de cette page\u00a0? Donne leurs cadres.",
        "Donne les cadres de tous les blocs dans l'ordre de lecture.",
    ),
    order_of=(
        "Dans quel ordre lit-on ces régions\u00a0: {}\u00a0?",
        "Range ces régions dans l'ordre de lecture\u00a0: {}.",
    ),
    continue_text=(
        'La page dit "{}". Comment le texte continue-t-il\u00a0?',
        'Continue le texte après "{}" tel qu\'il figure sur la page.',
    ),
    nouns=_nouns(
        """
        title   | un titre         | titres         | les titres         | titre
        text    | un bloc de texte | blocs de texte | les blocs de texte | bloc de texte
        list    | une liste        | listes         | les listes         | liste
        table   | un tableau       | tableaux       | les tableaux       | tableau
        figure  | une figure       | figures        | les figures        | figure
        caption | une légende      | légendes       | les légendes       | légende
        """
    ),
    there_is=("Il y a ", " dans l'image."),
    there_are=("Il y a ", " dans l'image."),
    none="Il n'y a pas de {} dans l'image.",
    words=(("Il y a ", " dans l'image."), ("Il y a ", " dans l'image.")),
    numbers=("deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze"),
    conjunction="et",
)

SPANISH = Wordings(
    read_page=(
        "Lee la página.",
        "Lee todo el texto de esta página.",
        "¿Qué está escrito en esta página? Da todo el texto en orden de lectura.",
    ),
    read_part=(
        "Lee los primeros {} bloques de texto de esta página.",
        "Da los primeros {} bloques de texto de esta página en orden de lectura.",
    ),
    read_region=(
        "Lee el texto de la región {}.",
        "¿Qué está escrito en {}?",
        "Da el texto que hay dentro del recuadro {}.",
    ),
    find=(
        '¿Dónde está "{}"?',
        'Indica las coordenadas del recuadro del texto "{}".',
        'Busca "{}" en la página.',
    ),
    spot_page=(
        "Detecta todas las regiones con texto e indica su contenido.",
        "Detecta todos los textos e indica las coordenadas de sus recuadros.",
        "Lee todo el texto de la imagen e indica el recuadro de cada fragmento.",
    ),
    spot_region=(
        "Detecta todas las palabras de la región {} e indica las coordenadas de sus recuadros.",
        "Da cada palabra de {} con su recuadro.",
    ),
    layout=(
        "Detecta la estructura del documento.",
        "Detecta todos los elementos de la estructura del documento e indica las coordenadas de sus recuadros.",
        "¿Cómo está estructurada esta página? Indica cada tipo de región con sus recuadros.",
    ),
    layout_of=("¿Dónde están {}?", "Detecta {} del documento."),
    order=(
        "¿En qué orden se leen los bloques de esta página? Indica sus recuadros.",
        "Indica los recuadros de todos los bloques en orden de lectura.",
    ),
    order_of=(
        "¿En qué orden se leen estas regiones: {}?",
        "Ordena estas regiones según el orden de lectura: {}.",
    ),
    continue_text=(
        'La página dice "{}". ¿Cómo sigue el texto?',
        'Continúa el texto después de "{}" tal como está en la página.',
    ),
    nouns=_nouns(
        """
        title   | un título          | títulos           | los títulos           | ningún título
        text    | un bloque de texto | bloques de texto  | los bloques de texto  | ningún bloque de texto
        list    | una lista          | listas            | las listas            | ninguna lista
        table   | una tabla          | tablas            | las tablas            | ninguna tabla
        figure  | una figura         | figuras           | las figuras           | ninguna figura
        caption | una leyenda        | leyendas          | las leyendas          | ninguna leyenda
        """
    ),
    there_is=("Hay ", " en la imagen."),
    there_are=("Hay ", " en la imagen."),
    none="No hay {} en la imagen.",
    words=(("En la imagen está ", "."), ("En la imagen están ", ".")),
    numbers=("dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce"),
    conjunction="y",
)

ITALIAN = Wordings(
    read_page=(
        "Leggi la pagina.",
        "Leggi tutto il testo di questa pagina.",
        "Che cosa è scritto in questa pagina? Riporta tutto il testo in ordine di lettura.",
    ),
    read_part=(
        "Leggi i primi {} blocchi di testo di questa pagina.",
        "Riporta i primi {} blocchi di testo di questa pagina in ordine di lettura.",
    ),
    read_region=(
        "Leggi il testo nella regione {}.",
        "Che cosa è scritto in {}?",
        "Riporta il testo all'interno del riquadro {}.",
    ),
    find=(
        'Dove si trova "{}"?',
        'Indica le coordinate del riquadro del testo "{}".',
        'Trova "{}" nella pagina.',
    ),
    spot_page=(
        "Individua tutte le regioni con testo e indicane il contenuto.",
        "Individua tutti i testi e indica le coordinate dei loro riquadri.",
        "Leggi tutto il testo dell'immagine e indica il riquadro di ogni elemento.",
    ),
    spot_region=(
        "Individua tutte le parole nella regione {} e indica le coordinate dei loro riquadri.",
        "Riporta ogni parola in {} con il suo riquadro.",
    ),
    layout=(
        "Individua la struttura del documento.",
        "Individua tutti gli elementi della struttura del documento e indica le coordinate dei loro riquadri.",
        "Com'è strutturata questa pagina? Indica ogni tipo di regione con i suoi riquadri.",
    ),
    layout_of=("Dove si trovano {}?", "Individua {} del documento."),
    order=(
        "In quale ordine si leggono i blocchi di questa pagina? Indica i loro riquadri.",
        "Indica i riquadri di tutti i blocchi in ordine di lettura.",
    ),
    order_of=(
        "In quale ordine si leggono queste regioni: {}?",
        "Metti queste regioni in ordine di lettura: {}.",
    ),
    continue_text=(
        'Nella pagina si legge "{}". Come continua il testo?',
        'Continua il testo dopo "{}" così come appare nella pagina.',
    ),
    nouns=_nouns(
        """
        title   | un titolo           | titoli            | i titoli            | nessun titolo
        text    | un blocco di testo  | blocchi di testo  | i blocchi di testo  | nessun blocco di testo
        list    | un elenco           | elenchi           | gli elenchi         | nessun elenco
        table   | una tabella         | tabelle           | le tabelle          | nessuna tabella
        figure  | una figura          | figure            | le figure           | nessuna figura
        caption | una didascalia      | didascalie        | le didascalie       | nessuna didascalia
        """
    ),
    there_is=("C'è ", " nell'immagine."),
    there_are=("Ci sono ", " nell'immagine."),
    none="Non c'è {} nell'immagine.",
    words=(("C'è ", " nell'immagine."), ("Ci sono ", " nell'immagine.")),
    numbers=("due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "undici", "dodici"),
    conjunction="e",
)

PORTUGUESE = Wordings(
    read_page=(
        "Leia a página.",
        "Leia todo o texto desta página.",
        "O que está escrito nesta página? Dê todo o texto na ordem de leitura.",
    ),
    read_part=(
        "Leia os primeiros {} blocos de texto desta página.",
        "Dê os primeiros {} blocos de texto desta página na ordem de leitura.",
    ),
    read_region=(
        "Leia o texto da região {}.",
        "O que está escrito em {}?",
        "Dê o texto que está dentro da caixa {}.",
    ),
    find=(
        'Onde está "{}"?',
        'Indique as coordenadas da caixa do texto "{}".',
        'Encontre "{}" na página.',
    ),
    spot_page=(
        "Detecte todas as regiões com texto e indique o seu conteúdo.",
        "Detecte todos os textos e indique as coordenadas das suas caixas.",
        "Leia todo o texto da imagem e indique a caixa de cada trecho.",
    ),
    spot_region=(
        "Detecte todas as palavras da região {} e indique as coordenadas das suas caixas.",
        "Dê cada palavra de {} com a sua caixa.",
    ),
    layout=(
        "Detecte a estrutura do documento.",
        "Detecte todos os elementos da estrutura do documento e indique as coordenadas das suas caixas.",
        "Como está estruturada esta página? Indique cada tipo de região com as suas caixas.",
    ),
    layout_of=("Onde estão {}?", "Detecte {} no documento."),
    order=(
        "Em que ordem se leem os blocos desta página? Indique as suas caixas.",
        "Indique as caixas de todos os blocos na ordem de leitura.",
    ),
    order_of=(
        "Em que ordem se leem estas regiões: {}?",
        "Coloque estas regiões na ordem de leitura: {}.",
    ),
    continue_text=(
        'Na página está escrito "{}". Como continua o texto?',
        'Continue o texto depois de "{}" tal como está na página.',
    ),
    nouns=_nouns(
        """
        title   | um título         | títulos          | os títulos          | nenhum título
        text    | um bloco de texto | blocos de texto  | os blocos de texto  | nenhum bloco de texto
        list    | uma lista         | listas           | as listas           | nenhuma lista
        table   | uma tabela        | tabelas          | as tabelas          | nenhuma tabela
        figure  | uma figura        | figuras          | as figuras          | nenhuma figura
        caption | uma legenda       | legendas         | as legendas         | nenhuma legenda
        """,
        feminine="list table figure caption",
    ),
    there_is=("Há ", " na imagem."),
    there_are=("Há ", " na imagem."),
    none="Não há {} na imagem.",
    words=(("Na imagem está ", "."), ("Na imagem estão ", ".")),
    numbers=("dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove", "dez", "onze", "doze"),
    conjunction="e",
    two="duas",
)

WORDINGS: Mapping[str, Wordings] = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "it": ITALIAN,
    "pt": PORTUGUESE,
}
"""By language, as `languages.language` calls it."""


def wordings_of(language: str) -> Wordings:
    """The wordings of a language, English where there are none of it."""
    return WORDINGS.get(language, ENGLISH)
