"""Spanish questions about a page, and the wording of their answers."""

from sphinx_x.engines.ocr.wordings.base import Wordings, nouns_of

WORDINGS = Wordings(
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
    nouns=nouns_of(
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
