"""Words and phrases of receipts, in small letters."""

_HEADS = """
total|sub total|subtotal|grand total|total sales|total amount|total payable|total due|net total|nett total|amount|amount due|
amount payable|price|unit price|price amount|rounding|rounding adj|rounding adjustment|round adj|total rounded|change|change due|cash|
cash received|cash tendered|tendered|payment|paid|balance|balance due|discount|disc|disc (%)|less discount|item discount|savings|
you saved|gst|gst amount|gst @6%|gst 6%|gst (6%)|gst summary|gst id|gst reg no|gst no|total gst|total incl. gst|total inclusive gst|
total sales inclusive of gst|total excluding gst|total (excluding gst)|tax|tax amt|tax amount|tax code|tax rate|tax (rm)|amt (rm)|
amount (rm)|vat|vat no|service charge|service tax|serv. chg 10%|sst|qty|qty(s)|total qty|item|items|item(s)|item count|no. of items|
description|particulars|code|item code|barcode|uom|u.price|s/price|invoice|invoice no|invoice #|inv no|inv. no|tax invoice|tax invoice no|
simplified tax invoice|receipt|receipt no|receipt #|official receipt|bill|bill no|bill#|doc no|document no|ref no|ref|reference|order no|
order #|trans|trans no|trans #|transaction no|slip no|date|time|print time|printed on|table|table no|pax|cover|cashier|cashier #|server|
served by|salesperson|sales person|operator|user|user id|staff|member|member no|member id|points|points earned|card no|visa|visa card|
master card|debit card|credit card|approval code|auth code|batch no|terminal|terminal id|mid|tid|pos|pos no|counter|ctr|till|reg|register|
station|site|shop|store|store no|branch|outlet|company no|company reg. no|co. reg|co no|co. no|reg no|roc no|tel|tel no|telephone|phone|
fax|fax no|hp|h/p|mobile|contact|email|e-mail|website|attn|customer|customer name|bill to|ship to|deliver to|delivery|address|remark|
remarks|type|rate|rate %|sr|zr|zrl|sr = gst @6%|zrl = gst @0%|dine in|take away|takeaway|vehicle no|pump|litre|fuel|mileage|odometer|
entry|exit|duration|ticket no|cheque no|bank|account no|a/c no|terms|due date|expiry|void|refund|deposit|voucher|coupon|closed|opened|
guest|waiter|check|check no|tip|signature|duplicate|copy|customer copy|merchant copy|original|reprint|cash sale|cash sales|cash bill|
sales|net|gross|weight|kg|pcs|set
"""
_PHRASES = """
thank you|thank you!|thank you. please come again|thank you for shopping with us|please come again|thank you & please come again|
see you again|have a nice day|welcome|goods sold are not returnable|goods sold are not refundable|
goods sold are not returnable or exchangeable|no refund|no exchange|no cash refund|exchange within 7 days|exchange are allowed within|
with original receipt|please keep this receipt|keep the invoice for applicable returns|items must be in original packing|
this is a computer generated invoice|no signature required|price inclusive of gst|(price inclusive of gst)|all prices are in rm|
terima kasih|terima kasih sila datang lagi|selamat datang|sila datang lagi|barang yang dijual tidak boleh dikembalikan|
follow us on facebook|like us on facebook|for feedback please call|customer service hotline|customer care line|opening hours|
open daily 10am to 10pm|free parking|join us as a member today|enjoy special discounts|valid until|terms and conditions apply|e. & o. e.|
end of receipt|end of bill|not for sale|paid by cash|change rm|received by|issued by|approved|signature not required|guest copy|owned by|
trading as|formerly known as|managed by
"""
_ENDINGS = """
sdn bhd|sdn. bhd.|(m) sdn bhd|(m) sdn. bhd.|trading|enterprise|restaurant|restoran|s/b|holdings bhd|supermarket|mart|hardware|pharmacy|
& co|trading sdn bhd|marketing sdn bhd|book store|cafe|bakery|ltd|inc
"""
_TOWNS = """
shah alam|johor bahru|kuala lumpur|petaling jaya|selangor|selangor darul ehsan|klang|kajang|subang jaya|puchong|cheras|ampang|rawang|
batu caves|ipoh|perak|seri kembangan|penang|melaka|johor|skudai|semenyih|setia alam|balakong|sungai buloh|bangi|w.persekutuan|
wilayah persekutuan|malaysia|singapore
"""
_WORDS = """
abc able adapter air ais alam albatross ali aman ampang angle apple aqua ara ayam ayer baby bag bahru baju bak bakar bakery ball balm
bandar bar barat basket battery beads bean bee beef beer bella belt beverage big bihun biscuit black blade blue board bolt book books
boom bottle bowl box bracket bread brass breakfast brown brush bubble bucket bukit bulb bun burger butter cable cafe cake calendar can
candle canon car carbon card carrot cartridge casa cash cat cd celery cement centre century ceramic chain chair channel chapati charger
cheese cheras chicken child chili chips chocolate choice city clamp clay clean cleaner clip clock cloth coat coconut coffee cola cold
colour combo common compact condo congee connector cooking copper cord corn corner cotton counter cover crab cracker cream crown cup
curry custom cut cutter daily damansara dairy dark data day deco delight deluxe desa design diamond diesel digital dim dish dishwash dog
double dough dragon drawer dried drill drink dry duck duo durian dust east eco egg eggs electric electrical elegant emas empire
energy enterprise envelope era essence extra fabric face family fan fancy farm fashion fast file filter fish five flask flat flora flour
flower foam foil folder food foot fork foundation four freeze french fresh fried fries fruit fun furniture galaxy garden garlic
gas gel general gift ginger glass global glove glue gold golden gombak good goreng grand grape grass gravy green grey grill grip guava
guide gum hair half hall hand handle happy hardware harmoni health heavy herb hilir holder home honey hook hose hot hotel house hulu ice
ikan inch indah ink insurance intan iron jalan japan jati jaya jelly johor juice jumbo kacang kajang kampung kari kaya kedai kepong key
keychain kicap kid king kit kitchen klang knife kopi kota kuala kuning label lada lager lake lamb lamp large laser latte layer leaf
leather led lemon lemonade level library lid light lime line link lipstick liquid list lobak long lorong lotion lucky lunch machine
mahkota mall mango marble market marker mart maths mee meal measuring meat medan medical medium melawati melon member merah metal mi milk
milo mineral mini mint mix modern mop morning motor mug multi murni museum mushroom music nails nan nasi natural needle nescafe new nib
night noodle north nova number nut oat office oil ole omega one onion opal orange organic original oven pack packaging pad paint palace
palm pan pandan pants paper paprika paradise park parking parts pasar pasir paste pastry pau pea peach peanut pearl pen pencil penang
pepper perdana perfume perindustrian permai permas persiaran petaling petrol pharmacy phone photo pickle pie pin pine pink pipe pisang
pizza plain plan plastic plate platinum plaza plug plum pocket point pork port post pot potato powder power prawn premium press prime
print printer puchong pudding pump puree purple putih puteri quality queen quick rack radish rainbow ranch raw red refill regular
restaurant restaurants restoran ribbon rice ring road rock rojak roll roof room rope rose roti round royal rubber ruler sabun safety sago
salad salmon salt sambal sandwich santan satay sauce sausage scarf school scissors screen screw sea seafood seaweed section seksyen
selangor self seri service sesame set setia shah shampoo sharp sheet shell shirt shoe shop short shower signature silk silver similar
simpang single sirap skin slice slim slipper small smoked snack soap socket sofa soft solid sos soup sour south soy spa spanner special
spice spicy sponge spoon sport spray spring square stall stamp standard staple star stationery steam steel stew stick sticker stone store
straw street strip strong sugar sultan summer sun sungai super supermarket supplies sushi sweet switch syrup table taman tan tape tarik
taste tauge tea teh telur tempeh tenaga tent terminal teppan test textile thai thick thin three tiger tile timber timur tin tissue toast
tofu tomato tool top towel toy trading tray triple trolley tropical tube tuna turkey twin twist two ultra uncle union unit utama
vanilla vege vegetable vest video village vinegar vista wafer wah wall wan wangsa warm wash water wax west wheel whisky white wing winner
wire wood wool world wrap yard yellow yogurt young yew zero zinc zip
"""
_NAMES = """
lee tan lim wong chan ng ooi goh teo yap chong chin low lau ahmad ali siti nur mohd abdul bin binti kumar raj devi singh a/l a/p mei ling
hui yan wei jun kok seng chee fatt hock yoon
"""
_STREETS = """
jalan jln lorong lrg persiaran lot no no. off lebuh road street jln. unit blok
"""
_MONTHS = """
jan feb mar apr may jun jul aug sep oct nov dec january february march april june july august september october november december
"""
_DAYS = """
monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun
"""
_UNITS = """
g gm kg ml l ltr pcs pkt pk mm cm m inch s box btl ct x oz w v 's
"""

HEADS, PHRASES, ENDINGS, TOWNS = (found.replace("\n", "").split("|") for found in (_HEADS, _PHRASES, _ENDINGS, _TOWNS))
WORDS, NAMES, STREETS, MONTHS, DAYS, UNITS = (found.split() for found in (_WORDS, _NAMES, _STREETS, _MONTHS, _DAYS, _UNITS))
