"""German questions about a page, and the wording of their answers."""

from sphinx_x.engines.ocr.wordings.base import Wordings, nouns_of

WORDINGS = Wordings(
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
    nouns=nouns_of(
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
