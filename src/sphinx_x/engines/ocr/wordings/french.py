"""French questions about a page, and the wording of their answers."""

from sphinx_x.engines.ocr.wordings.base import Wordings, nouns_of

WORDINGS = Wordings(
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
    nouns=nouns_of(
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
