"""Italian questions about a page, and the wording of their answers."""

from sphinx_x.engines.ocr.wordings.base import Wordings, nouns_of

WORDINGS = Wordings(
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
    nouns=nouns_of(
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
