//! The rules of an invoice, each with a body that breaks it.

use serde_json::{Value, json};

use super::*;

fn good() -> Value {
    json!({
        "document": {"type": "INV", "number": "TW/26-27/1", "date": "2026-11-23"},
        "seller": {"gstin": "27AAPFU0939F1ZV", "name": "Sahyadri Tools"},
        "buyer": {"gstin": "29AAGCB7383J1Z4", "name": "Kaveri Motors"},
        "items": [
            {"description": "Torque wrench", "hsn": "8204", "quantity": "2", "unit_price": "4500.00", "gst_rate": "18"},
            {"description": "Calibration", "hsn": "998346", "quantity": "1.5", "unit_price": "333.33", "gst_rate": "18"},
        ],
        "total": "11210.00",
    })
}

fn parse(body: Value) -> Result<Invoice, Vec<Problem>> {
    serde_json::from_value::<InvoiceBody>(body)
        .expect("the wire shape")
        .try_into()
}

fn with(pointer: &str, value: Value) -> Value {
    let mut body = good();
    *body.pointer_mut(pointer).expect("a field of the good body") = value;
    body
}

/// One field changed, one problem told, about that field.
#[track_caller]
fn check(pointer: &str, value: Value, expect: (&str, &'static str)) {
    let problems = parse(with(pointer, value)).expect_err("must be refused");
    let told: Vec<_> = problems
        .iter()
        .map(|p| (p.field.as_deref().unwrap_or(""), p.code))
        .collect();
    assert_eq!(told, [expect]);
}

#[test]
fn a_good_invoice_between_states_bears_integrated_tax() {
    let invoice = parse(good()).unwrap();
    assert_eq!(invoice.financial_year().to_string(), "2026-27");
    let values = invoice.values;
    // 9000.00 + 1.5 x 333.33 = 9000.00 + 500.00 (499.995 rounds up); tax 1620.00 + 90.00.
    assert_eq!(values.taxable.to_string(), "9500.00");
    assert_eq!(values.igst.to_string(), "1710.00");
    assert_eq!((values.cgst, values.sgst), (Paise(0), Paise(0)));
    assert_eq!(values.total().to_string(), "11210.00");
}

#[test]
fn within_a_state_the_tax_is_split() {
    // Both are registered in Karnataka.
    let buyer = "29AAFCC9980M1ZR";
    let mut body = with("/buyer/gstin", json!(buyer));
    body["seller"]["gstin"] = json!("29AAGCB7383J1Z4");
    let values = parse(body).unwrap().values;
    assert_eq!(values.igst, Paise(0));
    assert_eq!(values.cgst.to_string(), "855.00");
    assert_eq!(values.sgst.to_string(), "855.00");
}

#[test]
fn the_reference_number_is_the_published_ones() {
    let mut body = with("/document/number", json!("2019-20/KA/1"));
    body["document"]["date"] = json!("2019-12-12");
    body["seller"]["gstin"] = json!("29AAFCC9980M1ZR");
    body.as_object_mut().unwrap().remove("total");
    assert_eq!(
        parse(body).unwrap().irn().as_str(),
        "23f498ee41441ecad30f72ba5b9907506c3df70a17b0e0dff46b76a786400662"
    );
}

#[test]
fn each_rule_is_told_with_its_field() {
    let gstin = |value: &str| json!(value);
    check(
        "/seller/gstin",
        gstin("27AAPFU0939F1ZW"),
        ("seller.gstin", "INVALID_GSTIN"),
    );
    check(
        "/buyer/gstin",
        gstin("URP"),
        ("buyer.gstin", "INVALID_GSTIN"),
    );
    check(
        "/buyer/gstin",
        gstin("27AAPFU0939F1ZV"),
        ("buyer.gstin", "SELLER_IS_BUYER"),
    );
    check("/seller/name", json!(" "), ("seller.name", "INVALID_NAME"));
    check(
        "/buyer/name",
        json!("a\u{7}b"),
        ("buyer.name", "INVALID_NAME"),
    );
    check(
        "/document/type",
        json!("inv"),
        ("document.type", "INVALID_DOCUMENT_TYPE"),
    );
    check(
        "/document/number",
        json!("0042"),
        ("document.number", "INVALID_DOCUMENT_NUMBER"),
    );
    for date in [
        "2026-02-30",
        "23/11/2026",
        "2026-11-23T10:00:00",
        "2017-06-30",
        "2100-01-01",
        "-026-11-23",
    ] {
        check(
            "/document/date",
            json!(date),
            ("document.date", "INVALID_DOCUMENT_DATE"),
        );
    }
    check("/items", json!([]), ("items", "INVALID_ITEMS"));
    check(
        "/items/0/description",
        json!(""),
        ("items[0].description", "INVALID_DESCRIPTION"),
    );
    check(
        "/items/1/hsn",
        json!("82041"),
        ("items[1].hsn", "INVALID_HSN"),
    );
    check(
        "/items/0/quantity",
        json!("0"),
        ("items[0].quantity", "INVALID_QUANTITY"),
    );
    check(
        "/items/0/quantity",
        json!("-1"),
        ("items[0].quantity", "INVALID_QUANTITY"),
    );
    check(
        "/items/0/unit_price",
        json!("1e9"),
        ("items[0].unit_price", "INVALID_UNIT_PRICE"),
    );
    check(
        "/items/0/gst_rate",
        json!("40.01"),
        ("items[0].gst_rate", "INVALID_GST_RATE"),
    );
    check("/total", json!("many"), ("total", "INVALID_TOTAL"));
    check("/total", json!("11208.99"), ("total", "TOTAL_MISMATCH"));
}

#[test]
fn a_total_within_a_rupee_passes() {
    assert!(parse(with("/total", json!("11209.00"))).is_ok());
    assert!(parse(with("/total", json!("11211"))).is_ok());
}

#[test]
fn all_problems_are_told_at_once() {
    let mut body = with("/seller/gstin", json!("x"));
    body["document"]["type"] = json!("");
    body["items"][0]["hsn"] = json!("");
    body["items"][1]["quantity"] = json!("");
    let problems = parse(body).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[test]
fn the_largest_amounts_do_not_overflow() {
    let item = json!({"description": "x", "hsn": "8204", "quantity": "999999999999.999",
        "unit_price": "999999999999.99", "gst_rate": "40"});
    let mut body = with("/items", json!(vec![item; ITEMS_MAX]));
    body.as_object_mut().unwrap().remove("total");
    let total = parse(body).unwrap().values.total();
    assert_eq!(total.to_string(), "1399999999999984600000000000.00");
}

#[test]
fn one_item_too_many_is_refused() {
    let item = good()["items"][0].clone();
    check(
        "/items",
        json!(vec![item; ITEMS_MAX + 1]),
        ("items", "INVALID_ITEMS"),
    );
}

#[test]
fn the_wire_refuses_unknown_missing_and_wrongly_typed_fields() {
    let refused = |body: Value| serde_json::from_value::<InvoiceBody>(body).is_err();
    for section in ["/document", "/seller", "/items/0", ""] {
        let mut body = good();
        body.pointer_mut(section).unwrap()["surprise"] = json!(1);
        assert!(refused(body), "unknown field in {section:?}");
    }
    assert!(refused(with("/items/0/quantity", json!(2))));
    assert!(refused(json!([])));
    let mut body = good();
    body.as_object_mut().unwrap().remove("buyer");
    assert!(refused(body));
}
