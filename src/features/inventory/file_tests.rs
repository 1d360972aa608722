use super::*;

fn read_ok(text: &str) -> File {
    let file = read(text.as_bytes(), StaffReason::Count).unwrap();
    assert!(file.faults.is_empty(), "{:#?}", file.faults);
    file
}

fn faults(text: &str) -> Vec<String> {
    read(text.as_bytes(), StaffReason::Count).unwrap().faults.into_iter().map(|(_, fault)| fault.field).collect()
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes, StaffReason::Count).unwrap_err().message
}

#[test]
fn a_plain_file_sets_and_changes() {
    let file = read_ok("sku,quantity,change,reason,note\nA,12,,,\nB,,-3,damaged,torn\nC,,+4.0,received,\n");
    let lines: Vec<_> =
        file.lines.iter().map(|l| (l.row, l.sku.as_str(), l.movement.change, l.movement.reason)).collect();
    assert_eq!(
        lines,
        [
            (2, "A", Change::Set(12), StaffReason::Count),
            (3, "B", Change::By(-3), StaffReason::Damaged),
            (4, "C", Change::By(4), StaffReason::Received),
        ]
    );
    assert_eq!(file.lines[1].movement.note.as_deref(), Some("torn"));
}

#[test]
fn spreadsheets_write_marks_semicolons_and_empty_rows() {
    let file = read_ok("\u{feff}SKU;Quantity;\r\n;;\r\n\r\nA;12;\r\nB;7;\r\n");
    let lines: Vec<_> = file.lines.iter().map(|l| (l.row, l.sku.as_str())).collect();
    assert_eq!(lines, [(4, "A"), (5, "B")]);
    let file = read_ok("SKU\tChange\r'=A\t'-3\r");
    assert_eq!((file.lines[0].sku.as_str(), file.lines[0].movement.change), ("=A", Change::By(-3)));
}

/// Rows keep the numbers that a spreadsheet shows, whatever is in their cells.
#[test]
fn rows_are_counted_as_a_spreadsheet_does() {
    let text = "SKU,Quantity,Note\nA,1,\"two\nlines\"\n\nB,x,\nC,2,\"a\nb\nc\"\nD,y,";
    assert_eq!(faults(text), ["rows[4].quantity", "rows[6].quantity"]);
}

#[test]
fn what_an_export_wrote_changes_nothing() {
    let row = |sku, on_hand| Row { sku, title: "=Kente, \"red\"", variant: "S / 2", reserved: 1, on_hand, version: 3 };
    let mut bytes = write([row("=A", 5)].into_iter(), true).unwrap();
    bytes.extend(write([row("B", 0)].into_iter(), false).unwrap());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("\n'=A,\"'=Kente, \"\"red\"\"\","), "{text}");
    let file = read_ok(&text);
    assert_eq!((file.lines.len(), file.unchanged), (0, 2));
    let changed = text.replace("5,5,,,3", "5,9,received,,3");
    let file = read_ok(&changed);
    assert_eq!((file.lines[0].sku.as_str(), file.lines[0].version), ("=A", Some(3)));
    assert_eq!(file.lines[0].movement.change, Change::By(4));
}

#[test]
fn every_fault_of_every_row_is_told() {
    let text = "sku,quantity,change,reason,note,version\n\
                A,1.5,,,,\n\
                B,-1,,stolen,,\n\
                A,3,,,,\n\
                ,3,,,,\n\
                C,1,2,,,\n\
                D,99999999999,,,,\n\
                E,=1+1,,,,\n\
                F,,3,damaged,,\n\
                G,,,other,,\n\
                H,4,,other,,x\n\
                I,1,,,,,surplus\n\
                J,\"1,000\",,,,\n\
                K,1000001,,,,\n";
    assert_eq!(
        faults(text),
        [
            "rows[2].quantity",
            "rows[3].reason",
            "rows[3].quantity",
            "rows[4].sku",
            "rows[5].sku",
            "rows[6].change",
            "rows[7].quantity",
            "rows[8].quantity",
            "rows[9].reason",
            "rows[11].version",
            "rows[11].note",
            "rows[12]",
            "rows[13].quantity",
            "rows[14].quantity",
        ]
    );
    let long = format!("sku,quantity,note\nA,1,{}\n", "x".repeat(501));
    assert_eq!(faults(&long), ["rows[2].note"]);
}

#[test]
fn what_is_no_such_file_is_refused() {
    assert!(refusal(b"PK\x03\x04\0\0").contains("CSV UTF-8"));
    assert!(refusal(b"sku,quantity\n\xff,1").contains("UTF-8"));
    assert!(refusal(b"").contains("column"));
    assert!(refusal(b"quantity\n1").contains("SKU"));
    assert!(refusal(b"sku,title\nA,x").contains("Quantity or Change"));
    assert!(refusal(b"sku,quantity,price\nA,1,2").contains("price"));
    assert!(refusal(b"sku,Quantity,quantity\nA,1,2").contains("twice"));
    let many: String = (0..=MAX_CHANGES).map(|n| format!("S{n},1\n")).collect();
    assert!(refusal(format!("sku,change\n{many}").as_bytes()).contains("5000"));
}
