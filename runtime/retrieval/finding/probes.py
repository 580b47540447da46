"""Probes: questions that hardly any documents answer, asked of each index while it is made.

See `chance`: what is no nearer to a question than this is likely no answer.
"""

from __future__ import annotations

PROBES = (
    "How do I change the oil filter of a tractor?",
    "What is the boiling point of nitrogen?",
    "Who painted the ceiling of the Sistine Chapel?",
    "How does one cancel a mobile phone contract?",
    "Which team won the ice hockey final last night?",
    "How many bones has the human skeleton?",
    "What are the opening hours of the embassy?",
    "How is a cube root computed without a calculator?",
    "Wie wechselt man den Ölfilter an einem Traktor?",
    "Bei welcher Temperatur siedet Stickstoff?",
    "Wer hat die Decke der Sixtinischen Kapelle gemalt?",
    "Wie kündigt man einen Vertrag für ein Mobiltelefon?",
    "Wie viele Knochen hat das Skelett des Menschen?",
    "Wann hat die Botschaft geöffnet?",
    "Comment changer le filtre à huile d'un tracteur ?",
    "Quelle est la température d'ébullition de l'azote ?",
    "¿Cuántos huesos tiene el esqueleto humano?",
    "¿Cómo se cancela un contrato de teléfono móvil?",
    "トラクターのオイルフィルターはどう交換しますか。",
    "窒素の沸点は何度ですか。",
    "システィーナ礼拝堂の天井画を描いたのは誰ですか。",
    "携帯電話の契約はどうやって解約しますか。",
    "人間の骨は全部でいくつありますか。",
    "大使館は何時に開きますか。",
    "氮的沸点是多少？",
    "怎样取消手机合同？",
)
"""In several languages, of which a model may know some better than others."""
