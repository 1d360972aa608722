//! The documents name files and tests that exist, and the table of `docs/security.md` is whole.

use std::collections::BTreeSet;
use std::path::Path;

/// The folders in which a backticked path is looked for.
const FOLDERS: [&str; 8] = ["src/", "tests/", "migrations/", "config/", "docs/", "templates/", "crates/", "scripts/"];

const HEADER: &str = "| item | how | code | test |";

/// The items of OWASP ASVS 4.0.3 that levels 1 and 2 want, in the chapters of the table.
const ITEMS: [(&str, &[u8]); 26] = [
    ("2.1", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ("2.2", &[1, 2, 3]),
    ("2.3", &[1, 2, 3]),
    ("2.4", &[1, 2, 3, 4, 5, 6]),
    ("2.5", &[1, 2, 3, 4, 5, 6, 7]),
    ("2.6", &[1, 2, 3]),
    ("2.7", &[1, 2, 3, 4, 5, 6]),
    ("2.8", &[1, 2, 3, 4, 5, 6, 7]),
    ("2.9", &[1, 2, 3]),
    ("2.10", &[1, 2, 3, 4]),
    ("3.1", &[1]),
    ("3.2", &[1, 2, 3, 4]),
    ("3.3", &[1, 2, 3, 4]),
    ("3.4", &[1, 2, 3, 4, 5]),
    ("3.5", &[1, 2, 3]),
    ("3.7", &[1]),
    ("4.1", &[1, 2, 3, 5]),
    ("4.2", &[1, 2]),
    ("4.3", &[1, 2, 3]),
    ("7.1", &[1, 2, 3, 4]),
    ("7.2", &[1, 2]),
    ("7.3", &[1, 3, 4]),
    ("7.4", &[1, 2, 3]),
    ("8.1", &[1, 2, 3, 4]),
    ("8.2", &[1, 2, 3]),
    ("8.3", &[1, 2, 3, 4, 5, 6, 7, 8]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// README.md and all of `docs/`, from the root of the project.
fn documents() -> Vec<String> {
    let mut files = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            files.push(format!("docs/{name}"));
        }
    }
    files.sort();
    files
}

/// What stands between backticks outside of code blocks, each with its line.
fn quoted(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (i, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (i + 1, span)));
        }
    }
    found
}

/// The path in a span, if it is one: `src/a.rs`, also in `src/a.rs::b` and `scripts/c.sh --d`.
fn path_in(span: &str) -> Option<&str> {
    let word = span.split_whitespace().next()?;
    let path = word.split("::").next()?;
    let is_pattern = path.contains(['<', '*', '{', '…']);
    (FOLDERS.iter().any(|folder| path.starts_with(folder)) && !is_pattern).then_some(path)
}

/// The file that a test's name begins with: a path, or a module of `tests/api`.
fn file_of(place: &str) -> String {
    if place.ends_with(".rs") { place.to_owned() } else { format!("tests/api/{place}.rs") }
}

/// Whether a source has a test function of this name.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_it = |line: &str| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let is_attribute = |line: &&&str| line.starts_with("#[") || line.starts_with("//");
    let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    lines
        .iter()
        .enumerate()
        .any(|(i, line)| is_it(line) && lines[..i].iter().rev().take_while(is_attribute).any(is_test))
}

/// The numbers of an item's cell: `2.1.1`, `2.1.1, 2.1.3` or `2.7.1–2.7.6`.
fn numbers(cell: &str) -> Vec<String> {
    let split = |item: &str| {
        let (section, number) = item.trim().rsplit_once('.').unwrap_or_else(|| panic!("{cell} is no item"));
        (section.to_owned(), number.parse::<u8>().unwrap_or_else(|_| panic!("{cell} is no item")))
    };
    let mut found = Vec::new();
    for part in cell.split(',') {
        let (first, last) = part.split_once('–').unwrap_or((part, part));
        let ((section, from), (end, to)) = (split(first), split(last));
        assert!(section == end && from <= to, "{cell} is no range");
        found.extend((from..=to).map(|number| format!("{section}.{number}")));
    }
    found
}

/// The rows under each `HEADER`, with their lines.
fn rows(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_table = false;
    for (i, line) in text.lines().enumerate() {
        in_table = line == HEADER || in_table && line.starts_with('|');
        if in_table && line != HEADER && !line.starts_with("|---") {
            found.push((i + 1, line));
        }
    }
    found
}

#[test]
fn every_path_of_the_documents_exists() {
    let mut missing = Vec::new();
    for document in documents() {
        for (line, span) in quoted(&read(&document)) {
            if let Some(path) = path_in(span).filter(|path| !root().join(path).exists()) {
                missing.push(format!("{document}:{line}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "paths that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_test_that_security_names_exists() {
    let text = read("docs/security.md");
    let mut missing = Vec::new();
    let mut named = 0;
    for (line, span) in quoted(&text) {
        let Some((place, name)) = span.split_once("::") else { continue };
        named += 1;
        let source = std::fs::read_to_string(root().join(file_of(place))).unwrap_or_default();
        if !has_test(&source, name) {
            missing.push(format!("docs/security.md:{line}: {span}"));
        }
    }
    assert!(named > 0, "docs/security.md names no test");
    assert!(missing.is_empty(), "tests that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn the_asvs_table_is_whole() {
    let text = read("docs/security.md");
    let mut faults = Vec::new();
    let mut found = BTreeSet::new();
    for (line, row) in rows(&text) {
        let inside = row.strip_prefix('|').and_then(|row| row.strip_suffix('|')).unwrap_or_default();
        let cells: Vec<&str> = inside.split('|').map(str::trim).collect();
        if cells.len() != 4 || cells.iter().any(|cell| cell.is_empty()) {
            faults.push(format!("line {line}: a row has four cells, and none is empty"));
            continue;
        }
        for number in numbers(cells[0]) {
            if !found.insert(number.clone()) {
                faults.push(format!("line {line}: {number} stands twice"));
            }
        }
    }
    let wanted: BTreeSet<String> = ITEMS
        .iter()
        .flat_map(|(section, numbers)| numbers.iter().map(move |number| format!("{section}.{number}")))
        .collect();
    faults.extend(wanted.difference(&found).map(|number| format!("{number} has no row")));
    faults.extend(found.difference(&wanted).map(|number| format!("{number} is no item of levels 1 and 2")));
    assert!(faults.is_empty(), "the ASVS table of docs/security.md:\n{}", faults.join("\n"));
}

#[test]
fn what_is_not_there_is_noticed() {
    let text = "See `src/a.rs` and `b`.\n```\n`src/c.rs`\n```\n`scripts/d.sh --x`, `src/*.rs`, `tests/e.rs::f`";
    let paths: Vec<&str> = quoted(text).into_iter().filter_map(|(_, span)| path_in(span)).collect();
    assert_eq!(paths, ["src/a.rs", "scripts/d.sh", "tests/e.rs"]);
    let source = "/// A.\n#[tokio::test(flavor = \"x\")]\n// Why.\nasync fn a() {}\n#[test]\nfn bc() {}\nfn d() {}";
    assert!(has_test(source, "a") && has_test(source, "bc"));
    assert!(!has_test(source, "b") && !has_test(source, "d") && !has_test(source, "e"));
    assert_eq!(numbers("2.1.1, 2.7.3–2.7.5"), ["2.1.1", "2.7.3", "2.7.4", "2.7.5"]);
    let table = format!("| a | b |\n|---|---|\n| x | |\n\n{HEADER}\n|---|---|---|---|\n| 1 | 2 | 3 | |\n\n| y |");
    assert_eq!(rows(&table), [(7, "| 1 | 2 | 3 | |")]);
}
