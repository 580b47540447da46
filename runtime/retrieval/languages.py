"""Languages: what a model is told in the language of the question, and how that is recognised."""

from __future__ import annotations

import re
from dataclasses import dataclass

LOOKED_AT = 2000
"""Characters of a question by which its language is told."""
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Language:
    """How passages are given to a model, in one language: in short sentences for small models."""

    words: frozenset[str]
    """Common words of questions; none for a language that is told by its script."""
    passages: str
    """Stands before the passages."""
    task: str
    """Stands behind them."""
    question: str
    """Stands before the question."""
    page: str
    """A page; its number takes the place of {}."""
    nothing: str
    """The answer where nothing was found."""


def _language(
    words: str, passages: str, task: str, question: str, page: str, nothing: str
) -> Language:
    return Language(frozenset(words.split()), passages, task, question, page, nothing)


LANGUAGES = {
    "en": _language(
        "the is are was were what who whom which when where why how did does do of to in on and "
        "with my i we you he she it there have has had can",
        "Passages from the documents:",
        "Answer the question from these passages only. Behind each statement write the number of "
        "its passage, such as [1]. If the passages do not answer the question, say so.",
        "Question:",
        "page {}",
        "I found nothing about this in the documents.",
    ),
    "de": _language(
        "der die das den dem des ist sind war waren was wer wen wem welche welcher welches wann wo "
        "warum wieso wie und oder mit von zu im in am auf ich wir du sie er es ein eine einen hat "
        "haben hatte kann nicht für bei",
        "Abschnitte aus den Dokumenten:",
        "Beantworte die Frage nur aus diesen Abschnitten. Schreibe hinter jede Aussage die Nummer "
        "ihres Abschnitts, etwa [1]. Wenn die Abschnitte die Frage nicht beantworten, sage das.",
        "Frage:",
        "Seite {}",
        "Dazu habe ich in den Dokumenten nichts gefunden.",
    ),
    "fr": _language(
        "le la les l un une des du de est sont était qui que quoi quel quelle quels quelles quand "
        "où pourquoi comment combien et ou avec dans sur je nous vous il elle ce cette a ont été "
        "pas pour d qu",
        "Extraits des documents :",
        "Réponds à la question uniquement à partir de ces extraits. Après chaque affirmation, "
        "écris le numéro de son extrait, par exemple [1]. Si les extraits ne répondent pas à la "
        "question, dis-le.",
        "Question :",
        "page {}",
        "Je n'ai rien trouvé à ce sujet dans les documents.",
    ),
    "es": _language(
        "el la los las un una de del es son era fue qué quién quiénes cuál cuáles cuándo dónde "
        "por cómo cuánto cuánta cuántos y o con en yo nosotros él ella su se ha han hay no para al",
        "Fragmentos de los documentos:",
        "Responde a la pregunta solo con estos fragmentos. Después de cada afirmación escribe el "
        "número de su fragmento, por ejemplo [1]. Si los fragmentos no responden a la pregunta, "
        "dilo.",
        "Pregunta:",
        "página {}",
        "No he encontrado nada sobre esto en los documentos.",
    ),
    "it": _language(
        "il lo la i gli le un uno una di del della dei delle è sono era chi che cosa quale quali "
        "quando dove perché come quanto quanti e o con nel nella su io noi lui lei ha hanno "
        "abbiamo non per al alla l d c",
        "Brani dai documenti:",
        "Rispondi alla domanda solo in base a questi brani. Dopo ogni affermazione scrivi il "
        "numero del suo brano, per esempio [1]. Se i brani non rispondono alla domanda, dillo.",
        "Domanda:",
        "pagina {}",
        "Non ho trovato nulla su questo nei documenti.",
    ),
    "pt": _language(
        "o a os as um uma de do da dos das é são era foi que quem qual quais quando onde por "
        "porque como quanto quantos e ou com em no na nos nas eu nós ele ela seu sua se tem têm "
        "não para ao à",
        "Trechos dos documentos:",
        "Responda à pergunta apenas com base nestes trechos. Depois de cada afirmação escreva o "
        "número do trecho, por exemplo [1]. Se os trechos não responderem à pergunta, diga isso.",
        "Pergunta:",
        "página {}",
        "Não encontrei nada sobre isto nos documentos.",
    ),
    "nl": _language(
        "de het een is zijn was waren wat wie welke welk wanneer waar waarom hoe hoeveel en of met "
        "van in op aan ik wij we jij je hij zij ze er heeft hebben had kan niet voor bij",
        "Fragmenten uit de documenten:",
        "Beantwoord de vraag alleen met deze fragmenten. Schrijf achter elke uitspraak het nummer "
        "van het fragment, zoals [1]. Als de fragmenten de vraag niet beantwoorden, zeg dat dan.",
        "Vraag:",
        "pagina {}",
        "Ik heb hierover niets in de documenten gevonden.",
    ),
    "ja": _language(
        "",
        "文書からの抜粋：",
        "これらの抜粋だけを使って質問に答えてください。それぞれの文の後に、根拠となる抜粋の番号を"
        "[1]のように書いてください。抜粋に答えがない場合は、そう言ってください。",
        "質問：",
        "{}ページ",
        "文書の中に、これに関する記述は見つかりませんでした。",
    ),
    "zh": _language(
        "",
        "文档中的段落：",
        "请只根据这些段落回答问题。在每个陈述后面写上相应段落的编号，例如[1]。"
        "如果这些段落没有回答问题，请说明。",
        "问题：",
        "第{}页",
        "在文档中没有找到与此相关的内容。",
    ),
    "ko": _language(
        "",
        "문서에서 발췌한 내용:",
        "이 발췌문만 사용하여 질문에 답하세요. 각 문장 뒤에 근거가 되는 발췌문의 번호를 [1]처럼 "
        "쓰세요. 발췌문에 답이 없으면 그렇다고 말하세요.",
        "질문:",
        "{}쪽",
        "문서에서 이에 관한 내용을 찾지 못했습니다.",
    ),
    "ru": _language(
        "",
        "Отрывки из документов:",
        "Отвечай на вопрос только по этим отрывкам. После каждого утверждения пиши номер его "
        "отрывка, например [1]. Если отрывки не отвечают на вопрос, скажи об этом.",
        "Вопрос:",
        "стр. {}",
        "В документах я ничего об этом не нашёл.",
    ),
    "uk": _language(
        "",
        "Уривки з документів:",
        "Відповідай на запитання лише за цими уривками. Після кожного твердження пиши номер його "
        "уривка, наприклад [1]. Якщо уривки не відповідають на запитання, скажи про це.",
        "Запитання:",
        "с. {}",
        "У документах я нічого про це не знайшов.",
    ),
}  # fmt: skip
ENGLISH = LANGUAGES["en"]
OTHER = Language(
    ENGLISH.words,
    ENGLISH.passages,
    f"{ENGLISH.task} Answer in the language of the question.",
    ENGLISH.question,
    ENGLISH.page,
    ENGLISH.nothing,
)
"""For languages that are not recognised."""

KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc\uff66-\uff9d]")
SCRIPTS = {
    "ko": re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]"),
    "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
    "ru": re.compile("[\u0400-\u04ff]"),
}
UKRAINIAN = re.compile("[іїєґІЇЄҐ]")
LETTER = re.compile(r"[^\W\d_]")


def language_of(text: str) -> Language:
    """Return the language of a question: by its script, or else by its common words."""
    text = text[:LOOKED_AT]
    if KANA.search(text):
        return LANGUAGES["ja"]
    letters = len(LETTER.findall(text))
    for name, script in SCRIPTS.items():
        # A name in another script within a question does not make it one in that language. Signs
        # of scripts without letters say more each: of these, fewer are enough.
        if len(script.findall(text)) * (2 if name == "ru" else 4) > letters:
            return LANGUAGES["uk" if name == "ru" and UKRAINIAN.search(text) else name]
    words = WORD.findall(text.casefold())
    scores = {
        name: sum(word in language.words for word in words)
        for name, language in LANGUAGES.items()
        if language.words
    }
    best = max(scores, key=lambda name: scores[name])  # the first of equal ones: English
    return LANGUAGES[best] if scores[best] else OTHER
