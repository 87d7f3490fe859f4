"""Swedish words of praise and of blame, with a valence from -4 to 4 on VADER's scale. Data.

No maintained library measures Swedish sentiment in a slim image: the Swedish VADER installs itself over the English one,
and asent brings spaCy. So these are words chosen by us, common ones only, compared by their stem (Snowball), which covers
inflections. What they do not hold counts as neutral: a text without any of them scores 0.
"""

from __future__ import annotations

__all__ = ["BOOSTERS", "DAMPERS", "NEGATIONS", "VALENCES"]

_BY_VALENCE = {
    3.2: "fantastisk underbar utmärkt enastående lysande strålande älska perfekt suverän ypperlig förträfflig",
    2.5: "glad lycka lycklig bäst vacker härlig fin framgång framgångsrik seger kärlek imponerande jättebra toppen",
    1.9: """bra god bättre trevlig vänlig snäll hjälpsam positiv trygg trygghet säker säkerhet frihet fri rättvis
        rättvisa fred hopp hoppfull klok smart nyttig värdefull pålitlig ärlig stolt nöjd tacksam tack uppskatta gilla
        förbättra förbättring fördel möjlighet lovande effektiv stark styrka frisk hälsosam kul rolig intressant
        spännande skön lugn enkel hållbar demokratisk öppen respekt respektera stöd stödja hjälp hjälpa lyckas vinna
        vinst välkommen rekommendera meningsfull inspirerande engagerad skicklig kunnig noggrann generös modig""",
    1.1: "okej duglig lämplig rimlig användbar viktig tydlig lätt stabil modern nyfiken förtroende gemenskap utveckla",
    -1.1: "svår svårighet krånglig dyr långsam oklar otydlig tveksam osäker begränsad begränsning brist kritik risk trött",
    -1.9: """dålig sämre problem fel negativ ledsen orolig oro rädd rädsla farlig fara hot hota hotfull arg ilska sur
        elak dum svag förlora förlust misslyckas misslyckande misslyckad orättvis orättvisa ojämlik fattig fattigdom sjuk
        sjukdom skada skadlig smärta nackdel besviken besvikelse tråkig klaga konflikt kris lögn ljuga oärlig falsk
        opålitlig korrupt fientlig rasistisk diskriminera diskriminering förtryck förtrycka otrygg smutsig ful stöld
        brott kriminell straff skuld hopplös meningslös värdelös ineffektiv onödig förorening""",
    -2.6: "värst sämst hat hata krig våld våldsam död döda mord hemsk förfärlig usel katastrof svek förödande brutal",
    -3.3: "fruktansvärd vidrig avskyvärd vedervärdig katastrofal ondska terror terrorism tortyr folkmord",
}
VALENCES = {word: valence for valence, words in _BY_VALENCE.items() for word in words.split()}
NEGATIONS = frozenset("inte icke ej aldrig ingen inget inga knappast varken utan".split())  # noqa: SIM905
BOOSTERS = frozenset("mycket väldigt extremt oerhört otroligt verkligen synnerligen helt jätte väl".split())  # noqa: SIM905
DAMPERS = frozenset("lite något ganska delvis knappt tämligen relativt".split())  # noqa: SIM905
