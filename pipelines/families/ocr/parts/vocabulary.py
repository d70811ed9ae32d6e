"""What stands on receipts: amounts, dates, times, codes, telephone numbers, addresses, names, items; and strings of any characters."""

from collections.abc import Callable

import numpy as np

LONGEST = 50  # characters
ALPHABET = "".join(map(chr, range(32, 127)))
DIGITS, CAPITALS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnprstvwyz"

HEADS = """
total|sub total|subtotal|grand total|total sales|total amount|total payable|total due|net total|nett total|amount|amount due|amount payable|price|unit price|
price amount|rounding|rounding adj|rounding adjustment|round adj|total rounded|change|change due|cash|cash received|cash tendered|tendered|payment|paid|
balance|balance due|discount|disc|disc (%)|less discount|item discount|savings|you saved|gst|gst amount|gst @6%|gst 6%|gst (6%)|gst summary|gst id|gst reg no|
gst no|total gst|total incl. gst|total inclusive gst|total sales inclusive of gst|total excluding gst|total (excluding gst)|tax|tax amt|tax amount|tax code|
tax rate|tax (rm)|amt (rm)|amount (rm)|vat|vat no|service charge|service tax|serv. chg 10%|sst|qty|qty(s)|total qty|item|items|item(s)|item count|no. of items|
description|particulars|code|item code|barcode|uom|u.price|s/price|invoice|invoice no|invoice #|inv no|inv. no|tax invoice|tax invoice no|simplified tax invoice|receipt|
receipt no|receipt #|official receipt|bill|bill no|bill#|doc no|document no|ref no|ref|reference|order no|order #|trans|trans no|trans #|transaction no|slip no|
date|time|print time|printed on|table|table no|pax|cover|cashier|cashier #|server|served by|salesperson|sales person|operator|user|user id|staff|member|member no|
member id|points|points earned|card no|visa|visa card|master card|debit card|credit card|approval code|auth code|batch no|terminal|terminal id|mid|tid|pos|
pos no|counter|ctr|till|reg|register|station|site|shop|store|store no|branch|outlet|company no|company reg. no|co. reg|co no|co. no|reg no|roc no|tel|tel no|
telephone|phone|fax|fax no|hp|h/p|mobile|contact|email|e-mail|website|attn|customer|customer name|bill to|ship to|deliver to|delivery|address|remark|remarks|
type|rate|rate %|sr|zr|zrl|sr = gst @6%|zrl = gst @0%|dine in|take away|takeaway|vehicle no|pump|litre|fuel|mileage|odometer|entry|exit|duration|
ticket no|cheque no|bank|account no|a/c no|terms|due date|expiry|void|refund|deposit|voucher|coupon|closed|opened|guest|waiter|check|check no|tip|
signature|duplicate|copy|customer copy|merchant copy|original|reprint|cash sale|cash sales|cash bill|sales|net|gross|weight|kg|pcs|set
"""
PHRASES = """
thank you|thank you!|thank you. please come again|thank you for shopping with us|please come again|thank you & please come again|see you again|have a nice day|welcome|goods sold are not returnable|
goods sold are not refundable|goods sold are not returnable or exchangeable|no refund|no exchange|no cash refund|exchange within 7 days|exchange are allowed within|with original receipt|
please keep this receipt|keep the invoice for applicable returns|items must be in original packing|this is a computer generated invoice|no signature required|price inclusive of gst|(price inclusive of gst)|
all prices are in rm|terima kasih|terima kasih sila datang lagi|selamat datang|sila datang lagi|barang yang dijual tidak boleh dikembalikan|follow us on facebook|like us on facebook|for feedback please call|
customer service hotline|customer care line|opening hours|open daily 10am to 10pm|free parking|join us as a member today|enjoy special discounts|valid until|terms and conditions apply|
e. & o. e.|end of receipt|end of bill|not for sale|paid by cash|change rm|received by|issued by|approved|signature not required|guest copy|owned by|trading as|formerly known as|managed by
"""
WORDS = """
abc able acc adapter air ais alam albatross ali aman ampang angle apple aqua ara ayam ayer baby bag bahru baju bak bakar bakery ball balm bandar bar barat basket battery beads bean bee beef beer
bella belt beverage big bihun biscuit black blade blue board bolt book books boom bottle bowl box bracket bread brass breakfast brown brush bubble bucket bukit bulb bun burger butter cable cafe cake
calendar can candle canon car carbon card carrot cartridge casa cash cat cd celery cement centre century ceramic chain chair channel chapati charger cheese cheras chicken child chili chips chocolate choice
city clamp clay clean cleaner clip clock cloth coat coconut coffee cola cold colour combo common compact condo congee connector cooking copper cord corn corner cotton counter cover crab cracker cream crown cup
curry custom cut cutter daily damansara dairy dark data day deco delight deluxe desa design diamond diesel digital dim dish dishwash dog double dough dragon drawer dried drill drink dry duck duo durian dust eagle
east eco egg eggs electric electrical elegant emas empire energy enterprise envelope era essence extra fabric face family fan fancy farm fashion fast file filter fish five flask flat flora flour flower foam foil
folder food foolscap foot fork foundation four freeze french fresh fried fries fruit fun furniture galaxy garden garlic gas gel general gift ginger glass global glove glue gold golden gombak good goreng grand
grape grass gravy green grey grill grip guava guide gum hair half hall hand handle happy hardware harmoni health heavy herb hilir holder home honey hook hose hot hotel house hulu ice ikan inch indah ink insurance
intan iron jalan japan jati jaya jelly johor juice jumbo kacang kajang kampung kari kaya kedai kepong key keychain kicap kid king kit kitchen klang knife kopi kota kuala kuning label lada lager lake lamb lamp large laser
latte layer leaf leather led lemon lemonade level library lid light lime line link lipstick liquid list lobak long lorong lotion lucky lunch machine mahkota mall mango marble market marker mart maths mee meal measuring
meat medan medical medium melawati melon member merah metal mi milk milo mineral mini mint mix modern mop morning motor mug multi murni museum mushroom music nails nan nasi natural needle nescafe new nib night noodle
north nova number nut oat office oil ole omega one onion opal orange organic original oven pack packaging pad paint palace palm pan pandan pants paper paprika paradise park parking parts pasar pasir paste pastry
pau pea peach peanut pearl pen pencil penang pepper perdana perfume perindustrian permai permas persiaran petaling petrol pharmacy phone photo pickle pie pin pine pink pipe pisang pizza plain plan plastic plate platinum
plaza plug plum pocket point pork port post pot potato powder power prawn premium press prime print printer puchong pudding pump puree purple putih puteri quality queen quick rack radish rainbow ranch raw red
refill regular restaurant restaurants restoran ribbon rice ring road rock rojak roll roof room rope rose roti round royal rubber ruler sabun safety sago sagu salad salmon salt sambal sandwich santan satay sauce sausage
scarf school scissors screen screw sea seafood seaweed section seksyen selangor self seri service sesame set setia shah shampoo sharp sheet shell shirt shoe shop short shower signature silk silver similar simpang single
sirap skin slice slim slipper small smoked snack soap socket sofa soft solid sos soup sour south soy spa spanner special spice spicy sponge spoon sport spray spring square stall stamp standard staple star stationery steam
steel stew stick sticker stone store straw street strip strong sugar sultan summer sun sungai super supermarket supplies sushi sweet switch syrup table taman tan tape tarik taste tauge tea teh telur tempeh tenaga tent
terminal teppan test textile thai thick thin three tiger tile timber timur tin tissue toast tofu tomato tool top towel toy trading trainee tray triple trolley tropical tube tuna turkey twin twist two ultra uncle union
unit utama vanilla vege vegetable vest video village vinegar vista wafer wah wall wan wangsa warm wash water wax west wheel whisky white wing winner wire wood wool world wrap yard yellow yogurt young yew zero zinc zip
"""
NAMES = "lee tan lim wong chan ng ooi goh teo yap chong chin low lau ahmad ali siti nur mohd abdul bin binti kumar raj devi singh a/l a/p mei ling hui yan wei jun kok seng chee fatt hock yoon".split()
ENDINGS = "sdn bhd|sdn. bhd.|(m) sdn bhd|(m) sdn. bhd.|trading|enterprise|restaurant|restoran|s/b|holdings bhd|supermarket|mart|hardware|pharmacy|& co|trading sdn bhd|marketing sdn bhd|book store|cafe|bakery|ltd|inc".split(
    "|"
)
STREETS = "jalan jln lorong lrg persiaran lot no no. off lebuh road street jln. unit blok".split()
TOWNS = "shah alam|johor bahru|kuala lumpur|petaling jaya|selangor|selangor darul ehsan|klang|kajang|subang jaya|puchong|cheras|ampang|rawang|batu caves|ipoh|perak|seri kembangan|penang|melaka|johor|skudai|semenyih|setia alam|balakong|sungai buloh|bangi|w.persekutuan|wilayah persekutuan|malaysia|singapore".split(
    "|"
)
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec january february march april june july august september october november december".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun".split()
UNITS = "g gm kg ml l ltr pcs pkt pk mm cm m inch s box btl ct x oz w v 's".split()
CURRENCY = ("", "", "", "", "RM", "RM ", "$", "MYR ", "USD ", "S$", "EUR ", "-", "RM-", "@", "x")

HEAD = [word.strip() for word in HEADS.replace("\n", "").split("|")]
PHRASE = [word.strip() for word in PHRASES.replace("\n", "").split("|")]
WORD = WORDS.split()

Random = np.random.Generator


def text(random: Random) -> str:
    """A line of 1 to 50 characters of ALPHABET, without spaces at its ends or twice."""
    kind = KINDS[int(random.choice(len(KINDS), p=SHARES))]
    found = " ".join(_cased(kind(random), random).split())[:LONGEST].strip()
    return _cut(found, random) if found else text(random)


def letters(random: Random) -> str:
    """A line of words with few signs, 8 characters or more."""
    return _cased(_name(random) + " " + _words(random, 1, 3), random)[:LONGEST].strip()


def _cut(found: str, random: Random) -> str:
    """One line of twenty is a piece, as a box that was drawn too small leaves."""
    if len(found) < 4 or random.random() > 0.05:
        return found
    start = int(random.integers(0, len(found) - 2))
    return found[start : start + int(random.integers(1, 20))].strip() or found


def _cased(found: str, random: Random) -> str:
    draw = random.random()
    return found.upper() if draw < 0.55 else found.title() if draw < 0.78 else found if draw < 0.93 else found.capitalize()


def _pick(random: Random, words: list[str]) -> str:
    return words[int(random.integers(len(words)))]


def _digits(random: Random, low: int, high: int) -> str:
    """`low` to `high` - 1 digits."""
    return _of(random, DIGITS, low, high)


def _of(random: Random, characters: str, low: int, high: int) -> str:
    return "".join(characters[row] for row in random.integers(0, len(characters), int(random.integers(low, high))))


def _amount(random: Random) -> str:
    whole = int(10 ** random.uniform(0, 3.6)) - int(random.random() < 0.15)
    cents = f"{int(random.integers(0, 100)):02}"
    number = f"{whole:,}.{cents}" if random.random() < 0.8 else f"{whole}.{cents}0" if random.random() < 0.15 else f"{whole}.{cents}"
    return CURRENCY[int(random.integers(len(CURRENCY)))] + number + _tail(random)


def _tail(random: Random) -> str:
    draw = random.random()
    return " SR" if draw < 0.06 else "SR" if draw < 0.08 else "-" if draw < 0.1 else " T" if draw < 0.12 else " ZRL" if draw < 0.13 else ""


def _number(random: Random) -> str:
    draw = random.random()
    if draw < 0.3:
        return _digits(random, 1, 4)
    return f"{_digits(random, 1, 3)}%" if draw < 0.5 else f"({_digits(random, 1, 3)}%)" if draw < 0.55 else _digits(random, 4, 14)


def _date(random: Random) -> str:
    day, month, year = int(random.integers(1, 32)), int(random.integers(1, 13)), int(random.integers(2008, 2027))
    short = f"{year % 100:02}" if random.random() < 0.4 else str(year)
    mark = "/-./-"[int(random.integers(5))]
    if random.random() < 0.15:
        return f"{day}{mark if random.random() < 0.3 else ' '}{_pick(random, MONTHS)} {year}"
    first, second = (f"{day:02}", f"{month:02}") if random.random() < 0.8 else (str(month), str(day))
    return mark.join([first, second, short] if random.random() < 0.92 else [str(year), f"{month:02}", f"{day:02}"])


def _time(random: Random) -> str:
    hour, minute, second = (int(random.integers(top)) for top in (24, 60, 60))
    found = f"{hour:02}:{minute:02}" if random.random() < 0.5 else f"{hour:02}:{minute:02}:{second:02}"
    if random.random() < 0.35:
        half = ("AM", " AM", "PM", " PM", "pm", " am")[int(random.integers(6))]
        return f"{hour % 12 or 12}{found[2:]}{half}"
    return found


def _moment(random: Random) -> str:
    day = f"{_pick(random, DAYS)}, " if random.random() < 0.08 else ""
    return f"{day}{_date(random)} {_time(random)}"


def _code(random: Random) -> str:
    """Letters and digits of invoices, machines and goods."""
    draw = random.random()
    if draw < 0.3:
        return _of(random, CAPITALS, 1, 4) + _digits(random, 3, 11)
    if draw < 0.55:
        return f"{_of(random, CAPITALS, 1, 4)}-{_of(random, CAPITALS + DIGITS, 1, 4)}-{_digits(random, 3, 8)}"
    if draw < 0.7:
        return f"{_digits(random, 4, 8)}-{_of(random, CAPITALS, 1, 2)}"
    return (
        _of(random, CAPITALS + DIGITS * 3, 3, 14)
        if draw < 0.85
        else f"{_digits(random, 1, 5)}/{_digits(random, 2, 5)}/{_digits(random, 3, 7)}"
    )


def _telephone(random: Random) -> str:
    draw = random.random()
    start = ("03", "07", "012", "016", "019", "04", "+603", "+60", "603", "1800")[int(random.integers(10))]
    if draw < 0.6:
        return f"{start}-{_digits(random, 7, 9)}"
    return (
        f"{start}-{_digits(random, 3, 5)} {_digits(random, 4, 5)}"
        if draw < 0.85
        else f"({start}) {_digits(random, 4, 5)} {_digits(random, 4, 5)}"
    )


def _registration(random: Random) -> str:
    opened = ("(", "(co. reg : ", "(company no : ", "(co. no. ", "(gst id : ", "co-reg:", "")[int(random.integers(7))]
    return f"{opened}{_digits(random, 5, 13)}-{_of(random, CAPITALS, 1, 2)}{')' if opened[:1] == '(' else ''}"


def _address(random: Random) -> str:
    number = f"{_digits(random, 1, 4)}{_of(random, '-,&/ABG', 0, 2)}{_digits(random, 0, 3)}"
    street = (
        f"{_pick(random, STREETS)} {_words(random, 1, 3)} {_digits(random, 0, 3)}{_of(random, '/ ', 0, 2)}{_digits(random, 0, 2)}".strip()
    )
    found = f"{'no.' if random.random() < 0.4 else ''}{number},{' ' if random.random() < 0.7 else ''}{street}"
    return found + (("", ",", ".")[int(random.integers(3))])


def _town(random: Random) -> str:
    post = f"{_digits(random, 5, 6)} " if random.random() < 0.7 else ""
    more = f", {_pick(random, TOWNS)}" if random.random() < 0.5 else ""
    return f"{post}{_pick(random, TOWNS)}{more}{('', ',', '.')[int(random.integers(3))]}"


def _words(random: Random, low: int, high: int) -> str:
    """`low` to `high` - 1 words, some of them made up."""
    return " ".join(_pick(random, WORD) if random.random() < 0.72 else _syllables(random) for _ in range(int(random.integers(low, high))))


def _syllables(random: Random) -> str:
    found = "".join(
        _of(random, CONSONANTS, 1, 2) + _of(random, VOWELS, 1, 2) + _of(random, CONSONANTS, 0, 2) for _ in range(int(random.integers(1, 4)))
    )
    return found if random.random() < 0.8 else _of(random, CAPITALS.lower(), 2, 8)


def _name(random: Random) -> str:
    return " ".join(_pick(random, NAMES) for _ in range(int(random.integers(2, 4))))


def _shop(random: Random) -> str:
    return f"{_words(random, 1, 4)} {_pick(random, ENDINGS)}"


def _item(random: Random) -> str:
    size = f" {_digits(random, 1, 4)}{_pick(random, UNITS)}" if random.random() < 0.35 else ""
    sold = f" {_digits(random, 1, 3)} {'xX@*'[int(random.integers(4))]} {_amount(random)}" if random.random() < 0.15 else ""
    code = f"{_digits(random, 1, 7)} " if random.random() < 0.15 else ""
    return f"{code}{_words(random, 1, 5)}{size}{sold}"


def _headed(random: Random) -> str:
    mark = (":", " :", ": ", " : ", "", ".", "#", " #", " ", "=")[int(random.integers(10))]
    value = VALUES[int(random.integers(len(VALUES)))](random) if random.random() < 0.55 else ""
    return f"{_pick(random, HEAD)}{mark}{' ' if random.random() < 0.3 else ''}{value}"


def _phrase(random: Random) -> str:
    found = _pick(random, PHRASE)
    mark = ("*", "**", "***", "-", "--", "=", "~", "(", "[", "<")[int(random.integers(10))]
    closed = mark.translate(str.maketrans("([<", ")]>"))
    return f"{mark}{found}{closed}" if random.random() < 0.2 else found + ("", "", ".", "!", " !")[int(random.integers(5))]


def _address_of_web(random: Random) -> str:
    host = f"{_syllables(random)}{_pick(random, WORD)}"
    end = (".com", ".com.my", ".net", ".org", ".my", ".co.uk")[int(random.integers(6))]
    draw = random.random()
    return f"www.{host}{end}" if draw < 0.4 else f"http://www.{host}{end}" if draw < 0.6 else f"{_syllables(random)}@{host}{end}"


def _any(random: Random) -> str:
    """Any characters, the rare ones too."""
    return _of(random, ALPHABET, 1, 16)


def _single(random: Random) -> str:
    return _of(random, CAPITALS + DIGITS * 2 + "$%#&*:x@", 1, 3)


def _marked(random: Random) -> str:
    """A row of the same sign after a word, or numbers in brackets and quotes."""
    if random.random() < 0.4:
        return f"{_pick(random, HEAD)}{'.-*=_'[int(random.integers(5))] * int(random.integers(3, 16))}"
    left, right = ("[]", "()", "<>", "{}", '""', "''", "##", "**", "||", "//")[int(random.integers(10))]
    return f"{left}{VALUES[int(random.integers(len(VALUES)))](random)}{right} {_words(random, 0, 3)}"


Kind = Callable[[Random], str]
VALUES: tuple[Kind, ...] = (_amount, _amount, _amount, _number, _number, _date, _time, _moment, _code, _telephone)
CHOICES: dict[Kind, float] = {
    _amount: 0.19, _headed: 0.17, _item: 0.13, _moment: 0.05, _date: 0.04, _time: 0.03, _number: 0.05, _code: 0.07, _telephone: 0.03,
    _registration: 0.03, _address: 0.04, _town: 0.03, _shop: 0.04, _name: 0.01, _phrase: 0.03, _address_of_web: 0.01, _any: 0.03, _single: 0.01,
    _marked: 0.02,
}  # fmt: skip
KINDS = tuple(CHOICES)
SHARES = np.array(list(CHOICES.values())) / sum(CHOICES.values())
