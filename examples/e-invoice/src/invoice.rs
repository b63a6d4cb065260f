//! The invoice as a caller sends it, and the invoice as the rest of the product knows it.
//!
//! [`InvoiceBody`] is the wire; [`Invoice`] exists only when every rule holds. All problems of a body are
//! told at once, so that an integrator mends an invoice in one round.

use jiff::civil::{Date, date};
use serde::Deserialize;

use crate::{
    errors::Problem,
    gstin::Gstin,
    irn::{DocumentNumber, DocumentType, FinancialYear, Irn},
    money::{Paise, parse_decimal, share_of},
};

/// Most items on an invoice.
pub const ITEMS_MAX: usize = 1_000;
/// Most characters in a name or a description.
pub const TEXT_MAX: usize = 300;
/// A stated total may differ this much from the computed one: callers round each line in their own way.
pub const TOTAL_TOLERANCE: Paise = Paise(100);
/// GST began on this day; no document under it can be older.
const FIRST_DAY: Date = date(2017, 7, 1);
const LAST_DAY: Date = date(2099, 12, 31);
/// Thousandths: quantities have up to three decimals.
const QUANTITY_PLACES: usize = 3;
/// Hundredths of a per cent; 40 % is the highest GST rate.
const RATE_MAX: i128 = 4_000;
/// One hundred per cent in the unit of a rate.
const RATE_ONE: i128 = 10_000;

/// The request body of `POST /e-invoice/v1/invoices`. Unknown fields are refused: a misspelt optional
/// field would otherwise be lost in silence.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct InvoiceBody {
    document: DocumentBody,
    seller: PartyBody,
    buyer: PartyBody,
    items: Vec<ItemBody>,
    total: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct DocumentBody {
    r#type: String,
    number: String,
    date: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct PartyBody {
    gstin: String,
    name: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct ItemBody {
    description: String,
    hsn: String,
    quantity: String,
    unit_price: String,
    gst_rate: String,
}

/// An invoice that keeps every rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invoice {
    /// Kind of document.
    pub kind: DocumentType,
    /// Number printed on it.
    pub number: DocumentNumber,
    /// Day printed on it.
    pub date: Date,
    /// Who supplies; the IRN is made from this number.
    pub seller: Gstin,
    /// Who buys.
    pub buyer: Gstin,
    /// What it comes to.
    pub values: Values,
}

/// What an invoice comes to. Within a state the tax is half central, half state; between states it is
/// integrated tax. The unused kind is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Values {
    /// Value of the goods or services before tax.
    pub taxable: Paise,
    /// Central tax.
    pub cgst: Paise,
    /// State tax.
    pub sgst: Paise,
    /// Integrated tax.
    pub igst: Paise,
}

impl Values {
    /// Taxable value and all taxes.
    pub fn total(&self) -> Paise {
        Paise(self.taxable.0 + self.cgst.0 + self.sgst.0 + self.igst.0)
    }
}

impl Invoice {
    /// The financial year of the document.
    pub fn financial_year(&self) -> FinancialYear {
        FinancialYear::of(self.date)
    }

    /// The invoice reference number.
    pub fn irn(&self) -> Irn {
        Irn::of(&self.seller, self.financial_year(), self.kind, &self.number)
    }
}

impl TryFrom<InvoiceBody> for Invoice {
    type Error = Vec<Problem>;

    fn try_from(body: InvoiceBody) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let kind = note(
            &mut problems,
            DocumentType::parse(&body.document.r#type).ok_or_else(|| {
                Problem::at(
                    "document.type",
                    "INVALID_DOCUMENT_TYPE",
                    "the document type is INV, CRN or DBN",
                )
            }),
        );
        let number = note(
            &mut problems,
            DocumentNumber::parse(&body.document.number).map_err(|why| {
                Problem::at(
                    "document.number",
                    "INVALID_DOCUMENT_NUMBER",
                    why.to_string(),
                )
            }),
        );
        let date = note(&mut problems, parse_date(&body.document.date));
        let seller = party(&mut problems, "seller", &body.seller);
        let buyer = party(&mut problems, "buyer", &body.buyer);
        if seller.is_some() && seller == buyer {
            problems.push(Problem::at(
                "buyer.gstin",
                "SELLER_IS_BUYER",
                "seller and buyer have the same GSTIN",
            ));
        }
        let same_state =
            seller.as_ref().map(Gstin::state_code) == buyer.as_ref().map(Gstin::state_code);
        let values = sum_up(&mut problems, &body.items, same_state);
        if let Some(stated) = &body.total {
            check_total(&mut problems, stated, values);
        }
        match (kind, number, date, seller, buyer) {
            (Some(kind), Some(number), Some(date), Some(seller), Some(buyer))
                if problems.is_empty() =>
            {
                Ok(Self {
                    kind,
                    number,
                    date,
                    seller,
                    buyer,
                    values,
                })
            }
            _ => Err(problems),
        }
    }
}

/// Keeps a good value, writes a bad one down.
fn note<T>(problems: &mut Vec<Problem>, parsed: Result<T, Problem>) -> Option<T> {
    parsed.map_err(|problem| problems.push(problem)).ok()
}

fn parse_date(text: &str) -> Result<Date, Problem> {
    let problem = |message| Problem::at("document.date", "INVALID_DOCUMENT_DATE", message);
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let day: Date = shape
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| problem("the date is a day of the calendar written YYYY-MM-DD"))?;
    if !(FIRST_DAY..=LAST_DAY).contains(&day) {
        return Err(problem("the date lies between 2017-07-01 and 2099-12-31"));
    }
    Ok(day)
}

fn party(problems: &mut Vec<Problem>, which: &str, body: &PartyBody) -> Option<Gstin> {
    if !is_plain_text(&body.name) {
        problems.push(Problem::at(
            format!("{which}.name"),
            "INVALID_NAME",
            "a name has 1 to 300 characters and no control characters",
        ));
    }
    note(
        problems,
        Gstin::parse(&body.gstin)
            .map_err(|why| Problem::at(format!("{which}.gstin"), "INVALID_GSTIN", why.to_string())),
    )
}

fn is_plain_text(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= TEXT_MAX
        && !text.chars().any(char::is_control)
}

fn sum_up(problems: &mut Vec<Problem>, items: &[ItemBody], same_state: bool) -> Values {
    if items.is_empty() || items.len() > ITEMS_MAX {
        problems.push(Problem::at(
            "items",
            "INVALID_ITEMS",
            "an invoice has 1 to 1000 items",
        ));
        return Values::default();
    }
    let mut sum = Values::default();
    for (index, item) in items.iter().enumerate() {
        let before = problems.len();
        let at = |name: &str| format!("items[{index}].{name}");
        if !is_plain_text(&item.description) {
            problems.push(Problem::at(
                at("description"),
                "INVALID_DESCRIPTION",
                "a description has 1 to 300 characters and no control characters",
            ));
        }
        if !matches!(item.hsn.len(), 4 | 6 | 8) || !item.hsn.bytes().all(|b| b.is_ascii_digit()) {
            problems.push(Problem::at(
                at("hsn"),
                "INVALID_HSN",
                "an HSN or SAC code has 4, 6 or 8 digits",
            ));
        }
        let quantity = parse_decimal(&item.quantity, QUANTITY_PLACES).filter(|&q| q > 0);
        if quantity.is_none() {
            problems.push(Problem::at(
                at("quantity"),
                "INVALID_QUANTITY",
                "a quantity is a decimal string above zero with at most 12 digits and 3 decimals",
            ));
        }
        let unit_price = parse_decimal(&item.unit_price, 2);
        if unit_price.is_none() {
            problems.push(Problem::at(
                at("unit_price"),
                "INVALID_UNIT_PRICE",
                "a unit price is a decimal string in rupees with at most 12 digits and 2 decimals",
            ));
        }
        let rate = parse_decimal(&item.gst_rate, 2).filter(|&r| r <= RATE_MAX);
        if rate.is_none() {
            problems.push(Problem::at(
                at("gst_rate"),
                "INVALID_GST_RATE",
                "a GST rate is a decimal string in per cent from 0 to 40 with at most 2 decimals",
            ));
        }
        if let (Some(quantity), Some(unit_price), Some(rate)) = (quantity, unit_price, rate)
            && problems.len() == before
        {
            add_line(&mut sum, quantity, Paise(unit_price), rate, same_state);
        }
    }
    sum
}

fn add_line(sum: &mut Values, quantity: i128, unit_price: Paise, rate: i128, same_state: bool) {
    let taxable = share_of(unit_price, quantity, 1_000);
    sum.taxable.0 += taxable.0;
    if same_state {
        let half = share_of(taxable, rate, 2 * RATE_ONE);
        sum.cgst.0 += half.0;
        sum.sgst.0 += half.0;
    } else {
        sum.igst.0 += share_of(taxable, rate, RATE_ONE).0;
    }
}

fn check_total(problems: &mut Vec<Problem>, stated: &str, values: Values) {
    let Some(stated) = parse_decimal(stated, 2) else {
        problems.push(Problem::at(
            "total",
            "INVALID_TOTAL",
            "a total is a decimal string in rupees with at most 12 digits and 2 decimals",
        ));
        return;
    };
    // With other problems standing, the computed total means nothing.
    if problems.is_empty() && (stated - values.total().0).abs() > TOTAL_TOLERANCE.0 {
        problems.push(Problem::at(
            "total",
            "TOTAL_MISMATCH",
            format!(
                "the stated total is {}, the items come to {}",
                Paise(stated),
                values.total()
            ),
        ));
    }
}

#[cfg(test)]
mod tests;
