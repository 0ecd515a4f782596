"""What the contracts are written with: wordings of each clause, and words for what is sold, let, licensed and lent.

`[a|b]` is a choice, which may hold others; `{slot}` is filled in. The last wordings of each list are `HELD_OUT`: never
trained on, only evaluated with. `{A}` and `{B}` are the parties as a clause calls them, by role or by name.
"""

from dataclasses import dataclass
from typing import Final

HELD_OUT: Final = 6
"""One of so many wordings in each list, rounded up."""


@dataclass(frozen=True)
class Kind:
    """One kind of contract.

    Attributes:
        titles: What stands above it.
        roles: What the parties may be called, the one who gives first.
        openings: Clauses that name parties and subject at once.
        subjects: Clauses that name the subject, for contracts whose parties were named before.
        prices: Clauses that name the price.
        what: How the subject is put together.
        units: What the price may be for.
        abstract: The first sentence of the abstract.
        person: Whether the second party is a person.
    """

    titles: tuple[str, ...]
    roles: tuple[tuple[str, str], ...]
    openings: tuple[str, ...]
    subjects: tuple[str, ...]
    prices: tuple[str, ...]
    what: str
    units: tuple[str, ...]
    abstract: str
    person: bool = False


INTRODUCTIONS: Final = (
    'This [agreement|contract] is made on {date} between {a}[, of {place},|, a company of {place},||] (the "{ra}") and {b}[, of {place},||] (the "{rb}").',
    "{a}[, of {place},|,] hereinafter [called |]the {ra}, and {b}, hereinafter the {rb}, [have agreed as follows|agree on the following].",
    "This [agreement|contract] binds two [parties|sides]: {a}[ of {place}|], the {ra}, and {b}[ of {place}|], the {rb}.",
    "{a} [is the|acts as] {ra}[ here|]; {b} [is the|acts as] {rb}.",
    "[Party one|The first party|First party]: {a}, {ra}. [Party two|The second party|Second party]: {b}, {rb}.",
    "As {ra}: {a}[, {number} {street}, {place}|]. As {rb}: {b}[, {number} {street}, {place}|].",
    "{b}, [called|named] the {rb}, and {a}, [called|named] the {ra}, [make|conclude] this [agreement|contract] [on {date}|].",
    "In this [agreement|contract] the {ra} means {a} and the {rb} means {b}.",
    "{a} and {b}[, both of {place},|] are the {ra} and the {rb} [of|under] this [agreement|contract].",
    "The parties are {b} as [the |]{rb} and {a} as [the |]{ra}.",
    "Between {b} ({rb}) and {a} ({ra}) the following is agreed[ on {date}|].",
    "On {date} {a} and {b} [signed|concluded|entered into] this [agreement|contract]. {a} is the {ra}, {b} the {rb}.",
    "{ra}: {a}[, {place}|]. {rb}: {b}[, {place}|].[ Date: {date}.|]",
    "[Dated|Made on|As of] {date}. [By and between|Between] {a}[ of {place}|] as {ra} and {b}[ of {place}|] as {rb}.",
    "{rb} under this [agreement|contract] is {b}[, {place}|]; {ra} is {a}[, {place}|].",
    "The following holds between {a}, below the {ra}, and {b}, below the {rb}.",
    "{a} (in what follows the {ra}) and {b} (in what follows the {rb}) [met|came together] in {place} on {date} and agreed on what is written here.",
)

KINDS: Final = {
    "supply": Kind(
        titles=("supply agreement", "contract of sale", "framework supply contract", "purchase agreement", "delivery contract"),
        roles=(("Supplier", "Buyer"), ("Seller", "Purchaser"), ("Vendor", "Customer"), ("Manufacturer", "Customer")),
        openings=(
            "{a}[, of {place},|] [undertakes to|shall|will|agrees to] [deliver|supply|ship] {what} to {b}[ of {place}|].",
            "{b}[, of {place},|] [buys|orders|takes] {what} from {a}[ of {place}|].",
            "{a} [makes|produces|sells|trades in] {what}. {b} [wants to buy|is going to buy|needs] them[ regularly|], and the two [agree on the following|have agreed what follows].",
"{a} [supplies|delivers to|provides] {b} with {what}.",
"It is {a} [of {place} |]that [sells|supplies] {what}, and {b} that buys them.",
"{b} [asked|has asked] {a} for {what}, and {a} [agreed|has agreed] to [supply|deliver|make] them.",
"{b} [cannot do without|is in want of|uses] {what}; {a} will [see to it|bring them|send them].",
"For its [shops|works|yard|plant] [at|in] {place}, {b} [buys|orders] {what} from {a}.",
"From {date} on {a} [delivers|ships|sells] {what} to {b}.",
"The buyer, {b}, [takes|gets] {what} from the seller, {a}.",
"{a} has {what} to sell, and {b} is the one who buys.",
            "{b} needs {what}, and {a} [is able|is willing|has offered] to [supply|deliver] them.",
            "By this [agreement|contract] {a} sells {what} to {b}.",
            "{b} will obtain its {what} from {a} [of {place}|], which accepts the order.",
            "{what} are what {a} is to bring to {b}[ at {place}|].",
        ),
        subjects=(
            "{A} [shall|will|has to] [deliver|supply|ship] {what} to {B}.",
            "{B} orders from {A}, and {A} accepts to supply, {what}.",
            "[Subject|The object] of this [agreement|contract] [is the supply of|are] {what}.",
"{A} provides {B} with {what}.",
"[Delivered|Sold] are {what}.",
"{B} [wants|needs|asks for] {what}, and {A} [brings|delivers] them.",
"It is about {what}, which {A} [makes|stocks].",
"{A} will [make|prepare] {what} for {B}.",
"Goods: {what}.",
            "The goods are {what}[, as described in the annex|].",
            "{B} buys {what}[, and {A} sells them|] [under the terms below|on these terms].",
            "{A} [makes|keeps] {what} and [sells|supplies] them to {B}.",
            "What {B} gets under this contract are {what}.",
        ),
        prices=(
            "The price is {price} {per}[, plus value added tax|].",
            "For the goods {B} [pays|shall pay|has to pay] {price} {per}.",
            "{A} [invoices|charges|receives] {price} {per}.",
            "{price} {per} [is|are] [due|payable|to be paid][ for the goods| to {A}|].",
"Price: {price} {per}.",
"{B} [pays|gives|transfers to] {A} {price} {per} for [them|what it gets].",
"[Each|Every] {unit} {B} pays [a price of |]{price}.",
"[What is delivered|All this] [costs|is worth] {price} {per}.",
"As the price {price} {per} [was|were|has been] [fixed|settled].",
"{A} asks for {price} {per}[, which {B} accepts|].",
"{B} is [charged|billed] {price} {per}.",
            "[A price|A charge] of {price} {per} [has been agreed|applies|is agreed].",
            "{B} owes {A} {price} {per}.",
            "The goods cost {price} {per}[, carriage included|].",
            "In return {B} transfers {price} {per} to {A}.",
        ),
        what="[{adjective} |{adjective} {adjective} |{brand} |]{goods}",
        units=("year", "month", "quarter", "tonne", "delivery", "pallet"),
        abstract="{a} is to bring {what} to {b} and gets {price} {unit}.",
    ),
    "lease": Kind(
        titles=("lease", "lease of premises", "rental agreement", "tenancy agreement", "lease of business premises"),
        roles=(("Landlord", "Tenant"), ("Lessor", "Lessee"), ("Owner", "Tenant"), ("Owner", "Occupier")),
        openings=(
            "{a}[, of {place},|] [lets|leases|rents out] {what} to {b}[ of {place}|].",
            "{b}[, of {place},|] [rents|takes on lease|hires] {what} from {a}.",
            "{a} [owns|is the owner of] {what}. {b} [wants|wishes] to use [it|this], and the two [agree on the following|have agreed what follows].",
"{a} [lets|gives] {b} [have|use] {what}.",
"{b} [becomes|is] the tenant of {a} in {what}.",
"{a} [of {place} |]owns {what}. [It|This] is let to {b}[, which wants to work there|].",
"{a}, of {place}, owns {what}. [She|He|It] lets [it|them] to {b}.",
"{what} [passes|goes] from {a}, who owns it, to {b}, who may use it.",
"The landlord, {a}, lets {what} to the tenant, {b}.",
"{b} [looks for|needs] room and finds it with {a}: {what}.",
"From {date} on {b} may use {what}, the property of {a}.",
            "{a}, [owner of|who owns|which owns] {what}, [lets it|leaves its use] to {b}.",
            "By this lease {a} hands {what} over to {b} for use.",
            "{what} belongs to {a}[, of {place}|]. It is let to {b}[, which needs room for its business|, which will work there|].",
            "{b} moves into {what}, which {a} owns[ and lets|].",
        ),
        subjects=(
            "{A} [lets|leases|rents out] {what} to {B}.",
            "[Subject|The object] of this lease is {what}.",
"{A} [leaves|hands over] {what} to {B}.",
"Let [is|are] {what}.",
"{B} may use {what}.",
"It is about {what}, which {A} owns.",
"{B} moves into {what}.",
"Premises: {what}.",
            "{B} [rents|hires|takes] {what}[ for its business|].",
            "{A} owns {what} and [lets it|grants the use of it] to {B}.",
            "The premises are {what}.",
            "What is let is {what}.",
        ),
        prices=(
            "The rent is {price} {per}[, heating included|, without charges|].",
            "{B} [pays|shall pay|owes] [a rent of |]{price} {per}.",
            "{A} receives [a rent of |]{price} {per}[ from {B}|].",
"[Each|Every] {unit} {B} pays [{A} |][a rent of |]{price}[, in advance|].",
"[Each|Every] {unit} it pays the [owner|landlord] [a rent of |]{price}[, in advance and without deduction|].",
"{B} [gives|transfers to] {A} {price} {per}[ for the premises|].",
"The [use of the premises|use] costs {price} {per}.",
"As rent {price} {per} [was|were|has been] [fixed|settled].",
"{A} asks for {price} {per}[, which {B} accepts|].",
            "[A rent|Rent] of {price} {per} [has been agreed|is payable|is due]|].",
            "For the use {B} pays {A} {price} {per}[, in advance|, by bank transfer|].",
            "{price} {per} [is|are] [due|payable|to be paid] as rent.",
            "Rent: {price} {per}.",
        ),
        what="[the {room} at {number} {street}|the {room} and the {room} at {number} {street}|the {room} of {number} {street}|the {adjective} {room} at {number} {street}|the {room} in {street}]",
        units=("year", "month", "quarter", "week"),
        abstract="{a} gives {b} the use of {what} in return for {price} {unit}.",
    ),
    "licence": Kind(
        titles=("licence agreement", "licence", "software licence", "licence contract", "agreement on a licence"),
        roles=(("Licensor", "Licensee"), ("Owner", "User"), ("Author", "Publisher"), ("Provider", "Customer")),
        openings=(
            "{a}[, of {place},|] [grants|gives] {b}[, of {place},|] [a licence to use|the right to use|a non-exclusive licence for] {what}.",
            "{b} [may|is licensed to|is permitted to] use {what}, which {a} [owns|has developed|has made].",
            "{a} [owns|has developed|holds the rights in] {what}. {b} [wants|wishes] to use [it|them|this], and the two [agree on the following|have agreed what follows].",
"{a} [gives|allows] {b} the use of {what}.",
"{b} [asked|has asked] {a} for leave to use {what}, and has it now.",
"{a}, [of {place}, |]who made {what}, [lets|permits] {b} [use|to use] [it|them].",
"{b} [works|is going to work] with {what}, which belongs to {a}.",
"The rights in {what} are with {a}; {b} is allowed to use it.",
"From {date} on {b} may use {what} of {a}.",
"The licensor, {a}, gives the licensee, {b}, a licence for {what}.",
"{what} was made by {a}. {b} may use it[ in its business|].",
            "{b}[, of {place},|] [acquires|obtains|takes] a licence for {what} from {a}.",
            "By this licence {a} lets {b} use {what}.",
            "{a} is the owner of {what} and [allows|permits] {b} [its use|to use it].",
            "{what} is the work of {a}; {b} takes a licence for it.",
        ),
        subjects=(
            "{A} [grants|gives] {B} [a licence to use|the right to use|a non-exclusive licence for] {what}.",
            "[Subject|The object] of this licence is {what}.",
            "{B} may use {what}[ in its business| at all of its sites|].",
"{A} allows {B} the use of {what}.",
"Licensed [is|are] {what}.",
"{B} [works|is going to work] with {what}.",
"It is about {what}, made by {A}.",
"The licence covers {what}.",
"Licensed work: {what}.",
            "{A} owns {what} and lets {B} use it.",
            "The licensed work is {what}.",
            "What {B} is licensed to use is {what}.",
        ),
        prices=(
            "The [licence |]fee is {price} {per}[, plus value added tax|].",
            "{B} [pays|shall pay|owes] [a fee of |a royalty of |]{price} {per}[ for the licence|].",
            "{A} receives [a fee of |a royalty of |]{price} {per}.",
"Fee: {price} {per}.",
"[Each|Every] {unit} {B} pays [{A} |][a fee of |]{price}.",
"{B} [gives|transfers to] {A} {price} {per}.",
"The [right to use it|use] costs {price} {per}.",
"As the fee {price} {per} [was|were|has been] [fixed|settled].",
"{A} asks for {price} {per}[, which {B} accepts|].",
            "A [licence fee|fee|royalty] of {price} {per} [has been agreed|is payable|is due].",
            "For the use {B} pays {A} {price} {per}.",
            "{price} {per} [is|are] [due|payable|to be paid] for the licence.",
            "The licence costs {B} {price} {per}.",
        ),
        what="the {work} [{brand}|{brand} {brand}|for {adjective} {goods}|{brand} for {adjective} {goods}]",
        units=("year", "month", "quarter", "user", "copy"),
        abstract="{a} allows {b} to work with {what} and earns {price} {unit}.",
    ),
    "loan": Kind(
        titles=("loan agreement", "loan", "loan contract", "credit agreement", "agreement on a loan"),
        roles=(("Lender", "Borrower"), ("Creditor", "Debtor"), ("Bank", "Borrower"), ("Lender", "Company")),
        openings=(
            "{a}[, of {place},|] [lends|makes a loan to|grants a loan to] {b}[, of {place},|] for {what}.",
            "{b}[, of {place},|] borrows [money |]from {a} [to pay for|for] {what}.",
            "{b} [wants|wishes|needs] to buy {what}. {a} is [ready|willing] to lend the money, and the two [agree on the following|have agreed what follows].",
"{a} [gives|promises] {b} a loan for {what}.",
"{b} [asked|has asked] {a} for money for {what}, and gets it.",
"{b}[, of {place},|] is short of money for {what}, which {a} [lends|advances].",
"With money of {a}, {b} [buys|will buy|pays for] {what}.",
"The lender, {a}, helps the borrower, {b}, to pay for {what}.",
"{a} [will lend|lends] {b} money. It is for {what}.",
"{a} pays for {what}, and {b} pays it back later.",
            "{a} [helps {b} to buy|finances] {what} [for {b} |]with a loan.",
            "By this contract {a} becomes the lender of {b}, which is going to buy {what}.",
            "For the purchase of {what} {b} takes up a loan with {a}.",
            "{b} has found {what}, and {a} advances what it costs.",
        ),
        subjects=(
            "{A} grants {B} a loan [for|to buy] {what}.",
            "[The purpose|Purpose] of the loan is {what}.",
            "{B} [borrows|takes the loan] [to pay for|for] {what}.",
"{A} [lends|gives] {B} the money for {what}.",
"It is [lent|given] for {what}.",
"{B} [will buy|buys|pays for] {what} [with it|].",
"It is about the purchase of {what}.",
"Purpose: {what}.",
            "The money is [meant|intended] for {what}[ and nothing else|].",
            "{B} [uses the loan for|spends the loan on] {what}.",
            "With the loan {B} will acquire {what}.",
        ),
        prices=(
            "The [loan|principal|amount of the loan] is {price}, [at an interest of|with interest at|at] {rate} [per cent|%][ a year| per year|].",
            "{A} [pays out|transfers|makes available] {price}. [Interest is|The rate of interest is|The loan bears interest at] {rate} [per cent|%][ a year| per annum|].",
            "{B} receives {price} and pays [interest of |]{rate} [per cent|%][ a year|] [on it|on what is outstanding].",
"Amount: {price}. Interest: {rate} [per cent|%].",
"{A} [lends|advances] {B} {price}, for which {B} pays {rate} [per cent|%][ a year|].",
"{B} [gets|borrows] {price} at {rate} [per cent|%][ interest| a year|].",
"{A} gives {price} and [asks for|gets] {rate} [per cent|%] [interest|a year].",
"What is lent are {price}; what it costs are {rate} [per cent|%] a year.",
            "[The sum of|An amount of|A principal of] {price} is lent at {rate} [per cent|%][ a year|].",
            "The loan amounts to {price} and [bears|carries] interest at {rate} [per cent|%][ a year|].",
            "{price} [goes|is paid] to {B}; [each year |]{rate} [per cent|%] [comes|is due] as interest.",
        ),
        what="a [{adjective} |new |second |{adjective} {adjective} ||]{machine}",
        units=("",),
        abstract="{a} puts {price} at {rate} % in the hands of {b} for {what}.",
    ),
    "employment": Kind(
        titles=("employment agreement", "contract of employment", "employment contract", "service agreement"),
        roles=(("Employer", "Employee"), ("Company", "Employee"), ("Firm", "Employee")),
        openings=(
            "{a}[, of {place},|] [employs|hires|engages|takes on] {b}[, of {place},|] as {what}.",
            "{b}[, of {place},|] [joins|enters the service of|will work for] {a} as {what}.",
            "{a} [looks for|needs|wants] help, and {b} is willing to [give|offer] it. From {date} [she|he] works for [the company|the firm] as {what}.",
"{a} [has found|finds] [help|somebody] in {b}, who [becomes|is to be] {what}.",
"{a}, [of {place}, |]gives {b} work as {what}.",
"{b} [has applied|applied] to {a} and [becomes|is taken on as] {what}.",
"{a} needs {what}, and {b} is [willing|ready] to be that.",
"The employer is {a}; {b} is employed there as {what}.",
"{a} needs somebody to do the work, and {b} is willing to do so. From {date} [she|he] works for the company as {what}, at its [yard|office|works] in {place}.",
"As {what}, {b} will [work|be there] for {a} from {date}.",
"{b} signs on with {a} as {what}.",
            "From {date} {b} works for {a}[, at {place},|] as {what}.",
            "By this contract {b} becomes {what} at {a}.",
            "{b} starts [on {date} |]as {what} with {a}[ in {place}|].",
            "{what} is what {b} will be at {a} from {date}.",
        ),
        subjects=(
            "{A} [employs|hires|engages] {B} as {what}[, from {date}|].",
            "{B} [works|will work|is employed] as {what}[, at {place}|].",
"{A} gives {B} work as {what}.",
"{B} is to be {what}[ at {place}|].",
"The work is that of {what}.",
"From {date} on {B} is {what}.",
"Post: {what}.",
"{A} needs {what}, and {B} will be that.",
            "The [post|position|job] is that of {what}[ in {place}|].",
            "{B} takes up work as {what}[ on {date}|].",
            "{B} joins {A} as {what}.",
            "The duties of {B} are those of {what}.",
        ),
        prices=(
            "The [salary|wage|gross salary|pay] is {price} {per}.",
            "{A} pays [{B} |][a salary of |]{price} {per}.",
            "{B} [earns|receives|is paid|gets] [a salary of |]{price} {per}.",
"[Salary|Pay|Wage]: {price} {per}.",
"[Each|Every] {unit} {B} [gets|receives|is paid] {price}.",
"[She|He] [earns|receives|is paid] {price} {per}.",
"The work is paid with {price} {per}.",
"As [pay|salary] {price} {per} [was|were|has been] [fixed|settled].",
"{A} offers {price} {per}[, which {B} accepts|].",
            "A [salary|gross salary] of {price} {per} [has been agreed|is paid].",
            "[Her|His] [salary|pay|wage] is {price} {per}.",
            "For this work {price} [is|are] paid {per}.",
            "{B} can expect {price} {per} from {A}.",
        ),
        what="[a|an] [{adjective} |senior |junior ||]{job}",
        units=("year", "month", "week", "hour"),
        abstract="{b} enters the service of {a} as {what} for {price} {unit}.",
        person=True,
    ),
    "confidentiality": Kind(
        titles=("confidentiality agreement", "non-disclosure agreement", "agreement on secrecy", "mutual trust agreement"),
        roles=(("Discloser", "Recipient"), ("Owner", "Recipient"), ("Company", "Adviser"), ("Inventor", "Investor")),
        openings=(
            "{a}[, of {place},|] [shows|discloses|gives] {b}[, of {place},|] {what}, [in confidence|which are secret|which must stay secret].",
            "{b} [is going to see|will see|receives] {what} of {a}[ and keeps them secret|].",
            "{a} has {what}. {b} [wants|wishes] to [see|study] them, and the two [agree on the following|have agreed what follows].",
"{a} [lets|allows] {b} [see|study] {what}, [in confidence|on trust].",
"{b} [asked|has asked] {a} for {what}, and may see them.",
"{what} belong to {a}. {b} may see them and tells nobody.",
"{a} [hands|sends] {what} to {b}, who tells nobody.",
"The owner, {a}, shows the recipient, {b}, {what}.",
"{b} studies {what}, the property of {a}.",
            "{b} [undertakes|promises|agrees] towards {a} to keep {what} [secret|confidential].",
            "By this agreement {a} entrusts {what} to {b}.",
            "{a} lets {b} read {what}, which nobody else may see.",
        ),
        subjects=(
            "{A} [shows|discloses to] {B} {what}.",
            "[Confidential|Secret] are {what}.",
            "{B} [receives|will see|gets to know] {what}[ of {A}|].",
"{A} [hands|sends|shows] {B} {what}.",
"It is about {what}, which {A} owns.",
"{B} studies {what}.",
"The secrets are {what}.",
"Confidential: {what}.",
            "The confidential information [is|are|consists of] {what}.",
            "{A} entrusts {what} to {B}.",
            "{B} keeps {what} to itself.",
        ),
        prices=(
            "For [each|every] breach {B} [pays|owes|shall pay] [a penalty of |]{price}.",
            "The [contractual |]penalty is {price} [for each breach|per breach|for every breach].",
            "{B} pays {price} whenever it breaks this promise.",
"Penalty: {price} [a breach|for each breach].",
"{B} [is to pay|has to pay|pays] {A} {price} for [each|every] [word too many|case|breach].",
"[Telling others|A breach] [costs|makes {B} owe] {price}.",
"{A} may [ask for|demand] {price} for each breach.",
"As the penalty {price} [was|were|has been] [fixed|settled].",
            "A penalty of {price} [is due|is payable|falls due] [for each breach|with each breach].",
            "[If|Where] {B} breaks its duty, it owes {A} {price} [each time|for each case].",
            "Each breach costs {B} {price}.",
        ),
        what="[{papers} of|{papers} for|{papers} about] [{adjective} {goods}|a {machine}|a {adjective} {machine}|{brand} {goods}]",
        units=("",),
        abstract="{a} opens {what} to {b}, for whom a word too many costs {price}.",
    ),
}  # fmt: skip

TERMS: Final = (
    "[This agreement|The contract|It] [runs|lasts|is made|is concluded] for [a period of |a term of |]{term}[ from the date of signing| from {date}|].",
    "The term [is|of this contract is] {term}[, beginning on {date}|].",
    "[This agreement|The contract] [remains|stays|is] in force for {term}.",
    "[It|This agreement|The contract] [is|holds|counts|is valid|is good] for {term}[, from {date} on|].",
    "[For|During] {term} both sides are bound[ by it|].",
    "{B} may [stay|keep it|go on] for {term}.",
    "[It|This] goes on for {term}[ from the first day|].",
    "[A period|A term|A time] of {term} [has been agreed|is agreed|is fixed].",
    "Both have {term} in mind[, counted from {date}|].",
    "{B} may begin on {date} and may [stay|go on] for {term}.",
    "It is for a fixed [period|term] of {term}[, of which the first {length} are on probation|].",
    "Beginning on {date}, it lasts {term}.",
    "[Its|The] length is {term}.",
    "[This agreement|The contract] [begins|starts] on {date} and [has a fixed term of|continues for|goes on for] {term}.",
    "[Duration|Term]: {term}[, from {date}|].",
    "The parties bind themselves for {term}.",
    "After {term} [this agreement|the contract] [ends|expires] without further notice.",
    "[It is agreed|The parties agree] for a fixed [period|time] of {term}.",
)
ENDS: Final = (
    "[This agreement|The contract|It] [runs|lasts|is concluded|is in force] until {end}.",
    "[This agreement|The contract] [ends|expires|comes to an end] on {end}.",
    "[It|This agreement|The contract] [holds|counts|is valid|is good|goes on] until {end}.",
    "[Until|Up to] {end} both sides are bound[ by it|].",
    "{B} may [stay|keep it|go on] until {end}.",
    "It ends [with|after] {end}[ and needs no notice for that|].",
    "From {date} to {end} it is in force.",
    "On {end} [it is over|everything ends].",
    "[This agreement|The contract] [begins|starts] on {date} and [ends|expires] on {end}.",
    "[Last day of the contract|End of the term]: {end}.",
    "The parties are bound until {end}.",
    "{end} is the last day of [this agreement|the contract].",
)
NOTICES: Final = (
    "Either party may [terminate|end|cancel] [it|this agreement|the contract] [early |at any time |]on {notice_of} [written |]notice.",
    "[The period of notice|The notice period|Notice] is {notice}[ for both sides| for either party|].",
    "[Each|Either] side may [withdraw|leave|step out] [early |]by giving {notice_of} notice[ in writing|].",
    "[Termination|Ending it early] [needs|requires] [a notice of |a warning of |]{notice}.",
    "[A warning|A notice|Notice] of {notice} [is enough|will do|is needed] [to end it|to leave|for leaving early].",
    "[Both|Either|Each] may [leave|stop|go] {notice} after [telling|having told|writing to] the other.",
    "To [stop|end it|leave] early, one [tells|writes to] the other {notice} [ahead|before].",
    "[She|He|It] who wants to go has to [say so|write] {notice} [ahead|before].",
    "[Leaving|Stopping] early is possible with {notice} of [notice|warning].",
    "It can be [given up|ended|stopped] by either with {notice_of} [warning|notice].",
    "[Afterwards|Otherwise|From then on] whoever wishes to [end|leave] it early has to say so {notice} ahead[, in writing|].",
    "[Early end|Notice]: {notice}.",
    "Should one of the two [wish|want] to [go|leave], {notice_of} warning [in writing |]is enough.",
    "Neither is bound longer than {notice} after [a notice|giving notice|a letter].",
    "With {notice_of} notice [the landlord|the owner|the company|either of them] may [end|stop] it, and so may the other.",
    "[Whoever|A party that] wants to [end|leave] [it|the contract] [early|before its time] has to [say so|give notice|tell the other] {notice} [ahead|before|in advance].",
    "Notice to terminate must be [given|received] [at least |]{notice} [ahead|in advance|before the end of a month].",
    "Should [either of them|either party|one of them] want to [end|stop] it [early|before its time], {notice_of} [notice|warning] [is enough|will do][ in writing|].",
    "It may be terminated by [either|each] of the parties, [observing|with] a notice period of {notice}.",
    "{notice} after a written notice of either side it is over.",
    "Both may give it up, {notice} after having told the other.",
)
LAWS: Final = (
    "[This agreement|The contract|It] is governed by {law_source}.",
    "[This agreement|The contract|It] is subject to {law_source}[, and the courts of {place} decide|].",
    "{law_source} [applies|shall apply][ to this agreement| to this contract|][; place of jurisdiction is {place}|].",
    "[Governing|Applicable] law: {law_source}.",
    "[It|This agreement|The contract] [is made|stands|is concluded] under {law_source}.",
    "[Everything else|The rest|Whatever is not said here] [follows|is left to] {law_source}.",
    "[It|This agreement|The contract] [follows|obeys|falls under|comes under] {law_source}.",
    "[The courts of {place} apply|The judge applies|Courts apply] {law_source}.",
    "For [all questions|this contract] {law_source} [counts|holds|is decisive].",
    "Law: {law_source}.",
    "{law_source} [governs|rules] [it|this agreement|the contract|what follows from it].",
    "It is read and [judged|understood] by {law_source}.",
    "Both sides [want|have agreed on] {law_source}.",
    "[Disputes|All disputes] are decided under {law_source}[ by the courts of {place}|].",
    "The contract [shall be|is] construed [in accordance with|according to] {law_source}.",
    "[The parties|Both parties] [choose|submit to|have chosen] {law_source}.",
    "The agreement is made under {law_source}[, and the courts of {place} are competent|].",
    "{law_source} decides how this is to be read.",
    "What this contract leaves open follows from {law_source}.",
)

OTHERS: Final = (
    "Invoices are payable within {days} days.",
    "[Late payments|Amounts overdue] bear interest at {percent} [per cent|%][ a year|].",
    "The liability of either party is limited to {amount}.",
    "[Changes|Amendments] [need|require] [the written form|writing|the signature of both].",
    "If a [provision|clause|part] of this [agreement|contract] [is|turns out to be] void, the [rest stands|others remain valid].",
    "Neither party may assign its rights without the consent of the other.",
    "Neither side is liable for events beyond its control, such as floods, strikes and storms.",
    "[Each|Either] of the parties keeps one [signed |]copy.",
    "Notices go to {person}, {number} {street}, {place}.",
    "{B} [leaves|pays] a deposit of {amount} [at the signing|on signing], which comes back at the end.",
    "{A} insures itself for at least {amount}.",
    "{A} gives a warranty of {length}.",
    "The [parties|two] meet every {length} to [review|talk about] this contract.",
    "What is said in confidence stays secret, for {length} after the end too.",
    "Samples, tools and papers go back to their owner on the last day.",
    "{A} [informs|tells] {B} {length} before each change.",
    "[Complaints|Defects] have to be reported within {days} days.",
    "{person} [speaks|acts|signs] for {A}[ in all matters|].",
    "A party that is more than {days} days late can be asked to leave the contract at once.",
    "The first {length} [are|count as] a time of trial.",
    "Earlier agreements between the two are replaced by this one.",
    "Costs of this contract are borne by {A}[, up to {amount}|].",
    "Disputes go to a mediator in {place} first.",
    "The annexes are part of this contract.",
    "{B} may not hand on what it gets from {A} to others.",
    "Taxes and duties are borne by {B}.",
    "{A} keeps its records for {length} and shows them to {B} on request.",
    "Serious breaches allow either party to end it without notice.",
    "{B} treats what belongs to {A} with care and reports damage at once.",
    "It has been signed in two copies, in {place}.",
    "Whoever is prevented tells the other side within {days} days and says for how long.",
    "Work on Sundays and holidays is agreed case by case and paid with {percent} % more.",
    "Personal data are processed only as far as this contract needs it.",
    "The headings are for convenience and have no meaning of their own.",
)


def _listed(words: str) -> tuple[str, ...]:
    """Return what stands between commas; nothing between two is the empty word."""
    return tuple(" ".join(word.split()) for word in words.split(","))


GOODS: Final = _listed(
    """
    pumps, valves, bricks, tiles, chairs, tables, bolts, screws, engines, lamps, cables, pipes, boxes, bottles,
    labels, apples, potatoes, onions, carpets, curtains, boilers, batteries, sensors, filters, gloves, helmets,
    boots, ropes, sails, anchors, wheels, tyres, bearings, gears, springs, windows, doors, hinges, locks,
    mirrors, cups, plates, spoons, ovens, fridges, scales, seeds, plants, trees, bulbs, fences, gates, posts,
    beams, planks, sheets, panels, blankets, towels, shirts, coats, hats, bags, trunks, printers, scanners,
    screens, keyboards, cameras, lenses, drums, violins, pianos, bells, clocks, watches, magnets, switches,
    fuses, rails, sleepers, wagons, bicycles, saddles, canoes, oars, nets, hooks
    """
)

ADJECTIVES: Final = _listed(
    """
    galvanised, steel, wooden, oak, brass, copper, glass, ceramic, woollen, cotton, linen, leather, green, blue,
    red, white, black, grey, yellow, small, large, heavy, light, narrow, wide, round, square, flat, curved,
    polished, painted, coated, insulated, waterproof, folding, portable, electric, manual, hydraulic, solar,
    medical, nautical, agricultural, industrial, organic, dried, frozen, fresh, smoked, printed, recycled,
    hand-made, used, spare, precision, high-pressure, low-noise, stainless, seasoned, woven, knitted
    """
)

ROOMS: Final = _listed(
    """
    ground floor, first floor, second floor, third floor, cellar, attic, shop, office, warehouse, workshop,
    garage, hall, studio, mill, barn, stable, boathouse, kitchen, laboratory, bakery, yard, garden, greenhouse,
    showroom, back rooms, front rooms, upper storey, annexe, loft, smithy, orchard, quay
    """
)

STREETS: Final = _listed(
    """
    Street, Road, Lane, Square, Row, Quay, Hill, Avenue, Close, Way, Gate, Yard
    """
)

WORKS: Final = _listed(
    """
    program, software, database, trade mark, patent, design, typeface, game, novel, film, map, song, recipe,
    method, process, photograph, handbook, play, library, archive, platform, translation
    """
)

MACHINES: Final = _listed(
    """
    printing press, lathe, tractor, greenhouse, crane, lorry, ferry, oven, loom, saw, barge, windmill, kiln,
    warehouse, boat, boiler, harvester, van, workshop, turbine, brewery, shop front, excavator, roof, telescope,
    cold store, server room, milking parlour, forge, pump station, bakery, sawmill, drill, scanner, locomotive,
    cable car, dry dock
    """
)

JOBS: Final = _listed(
    """
    engineer, accountant, gardener, baker, pilot, nurse, teacher, cook, welder, librarian, chemist, driver,
    editor, translator, carpenter, electrician, maintenance engineer, sales manager, night porter, software
    developer, bookkeeper, warehouse clerk, surveyor, lawyer, architect, tailor, glazier, shepherd, forester,
    watchmaker, laboratory assistant, head of purchasing, crane operator, ship's mate, researcher, designer,
    optician, brewer
    """
)

PAPERS: Final = _listed(
    """
    plans, drawings, recipes, test results, cost figures, samples, formulas, customer lists, sketches,
    measurements, sources, sales figures, designs, prototypes, specifications, photographs, studies
    """
)

PLACES: Final = _listed(
    """
    Norway, Sweden, Denmark, Finland, Iceland, Ireland, Scotland, Wales, England, France, Spain, Portugal,
    Italy, Germany, Austria, Switzerland, Belgium, Luxembourg, Poland, Hungary, Romania, Bulgaria, Greece,
    Malta, Cyprus, Estonia, Latvia, Lithuania, Croatia, Slovenia, Canada, Ontario, Quebec, Texas, Delaware,
    Nevada, Ohio, Maine, Japan, Korea, India, Singapore, Kenya, Ghana, Egypt, Brazil, Chile, Peru, Mexico,
    Australia, Victoria, Tasmania
    """
)

NATIONS: Final = _listed(
    """
    Norwegian, Swedish, Danish, Finnish, Icelandic, Irish, Scottish, Welsh, English, French, Spanish,
    Portuguese, Italian, German, Austrian, Swiss, Belgian, Polish, Hungarian, Romanian, Bulgarian, Greek,
    Maltese, Estonian, Latvian, Lithuanian, Croatian, Slovenian, Canadian, Japanese, Korean, Indian, Kenyan,
    Egyptian, Brazilian, Chilean, Peruvian, Mexican, Australian, Dutch, Czech, Turkish
    """
)

GIVEN: Final = _listed(
    """
    Anna, Maria, Ingrid, Elsa, Ruth, Clara, Nora, Ida, Sofia, Olga, Amara, Leila, Mei, Yuki, Priya, Fatima,
    Carmen, Lucia, Margaret, Edith, Karl, Otto, Emil, Jonas, Peter, Paul, Henrik, Lars, Igor, Pavel, Omar,
    Hassan, Kofi, Kwame, Hiro, Ravi, Diego, Pedro, Marco, Luca, Samuel, Daniel, Victor, Hugo, Arthur, Ilse,
    Tomas, Ewa, Zofia, Bela
    """
)

SECTORS: Final = _listed(
    """
    Marine, Foods, Textiles, Energy, Steel, Timber, Glass, Tools, Software, Logistics, Shipping, Motors, Optics,
    Paper, Press, Brewing, Farms, Chemicals, Ceramics, Instruments, Systems, Works, Trading, Partners,
    Industries, Holdings, Mills, Foundry, Bakery, Nurseries, Estates, Capital, Savings, Bank, Publishing, Games,
    Robotics, Aviation, Railways, Bicycles, Furniture, Bookbinders, Clocks, Water, Power, Pharma, Studio,
    Institute
    """
)

FORMS: Final = _listed(
    """
    Ltd, Limited, plc, GmbH, AG, SARL, Inc, LLC, BV, SpA, AB, AS, Oy, SA, KG
    """
)

FIRST_HALVES: Final = _listed(
    """
    North, South, East, West, Stone, Wood, River, Lake, Hill, Green, Black, White, Silver, Gold, Iron, Copper,
    Oak, Ash, Elm, Birch, Fox, Wolf, Hawk, Raven, Swan, Salt, Sand, Snow, Storm, Bright, Clear, Long, Broad,
    High, Low, Old, New, King, Queen, Bridge, Mill, Church, Castle, Harbour, Moor
    """
)

SECOND_HALVES: Final = _listed(
    """
    gate, field, ford, ham, ton, bury, wick, well, brook, shore, haven, port, mouth, cliff, dale, side, wood,
    worth, stead, land, burn, mere, point, bank, view, grove, stone, water, crest, ridge
    """
)

ONSETS: Final = _listed(
    """
    b, br, c, ch, cl, d, dr, f, fl, fr, g, gl, gr, h, j, k, kl, kr, l, m, n, p, pl, pr, qu, r, s, sch, sh, sk,
    sl, sm, sn, sp, st, str, t, th, tr, v, w, y, z
    """
)

VOWELS: Final = _listed(
    """
    a, e, i, o, u, ai, au, ea, ei, ie, oa, oo, ou, y
    """
)

CODAS: Final = _listed(
    """
    , , , b, ck, d, f, g, k, l, ll, ld, lt, m, mp, n, nd, ng, nk, nt, p, r, rd, rk, rm, rn, rt, s, sk, ss, st,
    t, th, tz, v, x, z
    """
)
CURRENCIES: Final = ("EUR", "GBP", "USD", "CHF", "SEK", "NOK", "DKK", "PLN", "CAD", "AUD", "JPY", "CZK")
MONTHS: Final = _listed(
    "January, February, March, April, May, June, July, August, September, October, November, December"
)
NUMBERS: Final = {
    1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten",
    11: "eleven", 12: "twelve", 14: "fourteen", 15: "fifteen", 18: "eighteen", 20: "twenty", 24: "twenty-four",
    30: "thirty", 36: "thirty-six", 45: "forty-five", 60: "sixty", 90: "ninety",
}  # fmt: skip
PER: Final = {
    "year": ("per year", "a year", "each year", "annually", "per annum", "every year"),
    "month": ("per month", "a month", "each month", "monthly", "every month"),
    "quarter": ("per quarter", "a quarter", "each quarter", "quarterly"),
    "week": ("per week", "a week", "each week", "weekly"),
    "hour": ("per hour", "an hour", "for each hour"),
    "tonne": ("per tonne", "a tonne", "for each tonne"),
    "delivery": ("per delivery", "for each delivery", "a delivery"),
    "pallet": ("per pallet", "for each pallet", "a pallet"),
    "user": ("per user", "for each user", "a user"),
    "copy": ("per copy", "for each copy", "a copy"),
}
