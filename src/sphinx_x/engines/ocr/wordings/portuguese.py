"""Portuguese questions about a page, and the wording of their answers."""

from sphinx_x.engines.ocr.wordings.base import Wordings, nouns_of

WORDINGS = Wordings(
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
    nouns=nouns_of(
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
