"""Proof texts: questions, what answers them, and what only has their words, in several languages.

An embedding model that is used as it was trained prefers what answers. Pooled in another way it
prefers the same words: MiniLM and E5 were tried with each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """A question with the passage that answers it, and one that does not."""

    question: str
    answer: str
    lure: str
    """Has words of the question, and is about something else."""


ENGLISH = "English"
PAIRS: Mapping[str, Sequence[Pair]] = {
    ENGLISH: (
        Pair(
            "When does the museum open?",
            "The exhibition can be visited daily from nine o'clock.",
            "The museum has a large collection of stones.",
        ),
        Pair(
            "Why was the train late?",
            "Snow on the tracks delayed our arrival by an hour.",
            "The train has red seats, and it is late autumn.",
        ),
        Pair(
            "What helps against a headache?",
            "Drink enough water, and take a painkiller if your temples throb.",
            "The head of the company helps the new colleagues.",
        ),
    ),
    "German": (
        Pair(
            "Wann öffnet das Museum?",
            "Die Ausstellung kann täglich ab neun Uhr besichtigt werden.",
            "Das Museum besitzt eine große Sammlung von Steinen.",
        ),
        Pair(
            "Warum kam der Zug zu spät?",
            "Wegen Schnee auf den Gleisen verzögerte sich die Ankunft um eine Stunde.",
            "Der Zug hat rote Sitze, und es ist später Herbst.",
        ),
        Pair(
            "Was hilft gegen Kopfschmerzen?",
            "Trinken Sie genug Wasser und nehmen Sie ein Schmerzmittel, wenn die Schläfen pochen.",
            "Der Kopf der Firma hilft den neuen Kollegen.",
        ),
    ),
    "French": (
        Pair(
            "Quand ouvre le musée ?",
            "L'exposition se visite tous les jours à partir de neuf heures.",
            "Le musée possède une grande collection de pierres.",
        ),
        Pair(
            "Pourquoi le train était-il en retard ?",
            "La neige sur les voies a différé l'arrivée d'une heure.",
            "Le train a des sièges rouges et de grandes fenêtres.",
        ),
        Pair(
            "Que faire contre le mal de tête ?",
            "Buvez assez d'eau et prenez un antidouleur si vos tempes battent.",
            "Le chef à la tête de l'entreprise aide les nouveaux collègues.",
        ),
    ),
    "Spanish": (
        Pair(
            "¿Cuándo abre el museo?",
            "La exposición se puede visitar todos los días a partir de las nueve.",
            "El museo tiene una gran colección de piedras.",
        ),
        Pair(
            "¿Por qué llegó tarde el tren?",
            "La nieve en las vías demoró la llegada una hora.",
            "El tren tiene asientos rojos y ventanas grandes.",
        ),
        Pair(
            "¿Qué ayuda contra el dolor de cabeza?",
            "Beba suficiente agua y tome un analgésico si le palpitan las sienes.",
            "El jefe ayuda a los nuevos, y encabeza la empresa.",
        ),
    ),
    "Japanese": (
        Pair(
            "美術館は何時に開きますか。",
            "展覧会は毎日九時からご覧いただけます。",
            "美術館には石の大きなコレクションがあります。",
        ),
        Pair(
            "電車はなぜ遅れたのですか。",
            "線路に雪が積もったため、到着が一時間遅くなりました。",
            "電車の座席は赤く、窓が大きいです。",
        ),
        Pair(
            "頭痛には何が効きますか。",
            "水分を十分に取り、こめかみがずきずきするときは鎮痛剤を飲んでください。",
            "会社の頭は新しい同僚を助けます。",
        ),
    ),
    "Chinese": (
        Pair(
            "博物馆几点开门？",
            "展览每天上午九点起对外开放参观。",
            "博物馆收藏了大量的石头。",
        ),
        Pair(
            "火车为什么晚点？",
            "因为铁轨上有积雪，列车推迟了一个小时到达。",
            "火车的座位是红色的，晚上有点冷。",
        ),
        Pair(
            "头痛怎么办？",
            "多喝水，太阳穴跳痛时可服用止痛药。",
            "公司的头儿帮助新同事。",
        ),
    ),
}
