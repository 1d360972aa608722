//! Where on the paper the parts of an invoice stand.
#![expect(clippy::float_arithmetic, reason = "lengths on paper; amounts come as text")]

use chrono::{DateTime, Utc};

use super::paper::{Color, GREY, HEIGHT, INK, PALE, Paper, Style, WIDTH};

const LEFT: f32 = 48.0;
const RIGHT: f32 = WIDTH - 48.0;
const TOP: f32 = 64.0;
/// Lines end here; below is the foot of the page.
const BOTTOM: f32 = HEIGHT - 84.0;

/// Where the columns of the lines end, and where the first one must.
const QUANTITY: f32 = RIGHT - 190.0;
const PRICE: f32 = RIGHT - 95.0;
const WORDS: f32 = QUANTITY - 40.0 - LEFT;

/// How much room the stamp takes from the first sum on.
const STAMP: f32 = 84.0;

const TEXT: Style = Style::regular(9.5);
const SMALL: Style = Style::regular(8.0).colored(GREY);
const STRONG: Style = Style::bold(9.5);
const HEAD: Style = Style::bold(8.0).colored(GREY);

/// All that an invoice says.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// The number.
    pub number: String,
    pub issued_at: DateTime<Utc>,
    /// The colour of the shop.
    pub accent: Color,
    /// The name that buyers know.
    pub shop: String,
    /// Who sells.
    pub seller: Vec<String>,
    /// Who buys, and where it goes.
    pub buyer: Vec<String>,
    /// Such as the date, each with what it is.
    pub facts: Vec<(&'static str, String)>,
    pub lines: Vec<Line>,
    /// What adds up, the total, and what is within it.
    pub sums: Vec<Sum>,
    pub stamp: Option<StampText>,
    /// Below everything.
    pub notes: Vec<String>,
}

/// A line of the order.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub title: String,
    pub details: String,
    pub quantity: String,
    pub price: String,
    pub amount: String,
}

/// A sum, in words and as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub what: String,
    pub amount: String,
    pub is_total: bool,
}

/// What is stamped on it.
#[derive(Clone, Debug)]
pub(super) struct StampText {
    pub text: &'static str,
    pub below: String,
    pub color: Color,
}

/// Makes the file.
///
/// # Errors
/// When the PDF cannot be written.
pub(super) fn write(content: &Content) -> anyhow::Result<Vec<u8>> {
    let mut paper = lay_out(content)?;
    let foot = format!("{} · {}", content.shop, content.number);
    paper.on_every_page((LEFT, HEIGHT - 44.0), SMALL, |_, _| foot.clone());
    paper.on_every_page((RIGHT - 60.0, HEIGHT - 44.0), SMALL, |page, all| format!("Page {page} of {all}"));
    paper.finish(&format!("Invoice {}", content.number), &content.shop, content.issued_at)
}

/// All of it but the feet of the pages.
fn lay_out(content: &Content) -> anyhow::Result<Paper> {
    let mut paper = Paper::new(TOP)?;
    head(&mut paper, content);
    parties(&mut paper, content);
    columns(&mut paper);
    for line in &content.lines {
        row(&mut paper, line);
    }
    sums(&mut paper, content);
    notes(&mut paper, content);
    Ok(paper)
}

fn head(paper: &mut Paper, content: &Content) {
    let (name, title) = (Style::bold(20.0).colored(content.accent), Style::bold(20.0));
    let room = RIGHT - LEFT - paper.width("INVOICE", title) - 24.0;
    let lines = paper.wrap(&content.shop, name, room);
    paper.text_to(RIGHT, title, "INVOICE");
    for line in lines {
        paper.text(LEFT, name, line);
        paper.y += 24.0;
    }
    paper.y += 8.0;
    paper.rule(LEFT, RIGHT, content.accent);
    paper.y += 22.0;
}

/// Seller and buyer side by side, with the facts on the right.
fn parties(paper: &mut Paper, content: &Content) {
    let top = paper.y;
    let third = (RIGHT - LEFT) / 3.0;
    let mut lowest = top;
    for (place, (title, lines)) in [("FROM", &content.seller), ("BILL TO", &content.buyer)].into_iter().enumerate() {
        let x = if place == 0 { LEFT } else { LEFT + third };
        paper.y = top;
        paper.text(x, HEAD, title);
        paper.y += 15.0;
        for (index, line) in lines.iter().enumerate() {
            let style = if index == 0 { STRONG } else { TEXT };
            for part in paper.wrap(line, style, third - 16.0) {
                paper.text(x, style, part);
                paper.y += 13.0;
            }
        }
        lowest = lowest.max(paper.y);
    }
    paper.y = top;
    for (what, fact) in &content.facts {
        let x = LEFT + 2.0 * third;
        paper.text(x, HEAD, what.to_uppercase());
        paper.y += 13.0;
        for part in paper.wrap(fact, TEXT, third) {
            paper.text(x, TEXT, part);
            paper.y += 13.0;
        }
        paper.y += 4.0;
    }
    paper.y = lowest.max(paper.y) + 14.0;
}

fn columns(paper: &mut Paper) {
    paper.text(LEFT, HEAD, "DESCRIPTION");
    paper.text_to(QUANTITY, HEAD, "QUANTITY");
    paper.text_to(PRICE, HEAD, "UNIT PRICE");
    paper.text_to(RIGHT, HEAD, "AMOUNT");
    paper.y += 7.0;
    paper.rule(LEFT, RIGHT, PALE);
    paper.y += 16.0;
}

/// Goes on on a new page where so much does not fit any more.
fn make_room(paper: &mut Paper, height: f32) -> bool {
    let is_full = paper.y + height > BOTTOM;
    if is_full {
        paper.turn(TOP);
    }
    is_full
}

fn row(paper: &mut Paper, line: &Line) {
    let (titles, details) = (paper.wrap(&line.title, STRONG, WORDS), paper.wrap(&line.details, SMALL, WORDS));
    #[expect(clippy::cast_precision_loss, reason = "few lines")]
    let height = titles.len() as f32 * 13.0 + details.len() as f32 * 11.0 + 6.0;
    if make_room(paper, height) {
        columns(paper);
    }
    paper.text_to(QUANTITY, TEXT, &line.quantity);
    paper.text_to(PRICE, TEXT, &line.price);
    paper.text_to(RIGHT, TEXT, &line.amount);
    for title in titles {
        paper.text(LEFT, STRONG, title);
        paper.y += 13.0;
    }
    paper.y -= 1.0;
    for detail in details {
        paper.text(LEFT, SMALL, detail);
        paper.y += 11.0;
    }
    paper.y += 1.0;
    paper.rule(LEFT, RIGHT, PALE);
    paper.y += 16.0;
}

/// The sums on one page with the stamp beside them, unless they are more than a page has room for.
fn sums(paper: &mut Paper, content: &Content) {
    let left = LEFT + (RIGHT - LEFT) * 0.48;
    let mut rows = Vec::new();
    let mut height = 0.0_f32;
    for sum in &content.sums {
        let style = if sum.is_total { Style::bold(12.0) } else { TEXT };
        let room = RIGHT - left - paper.width(&sum.amount, style) - 12.0;
        let parts = paper.wrap(&sum.what, style, room);
        #[expect(clippy::cast_precision_loss, reason = "few lines")]
        let own = parts.len() as f32 * 17.0 + if sum.is_total { 12.0 } else { 0.0 };
        height += own;
        rows.push((sum, style, parts, own));
    }
    let beside = if content.stamp.is_some() { STAMP } else { 0.0 };
    make_room(paper, height.max(beside));
    let mut end = paper.y + beside;
    if let Some(stamp) = &content.stamp {
        paper.stamp((LEFT + 105.0, paper.y + 34.0), stamp.color, stamp.text, &stamp.below);
    }
    for (sum, style, parts, own) in rows {
        if make_room(paper, own) {
            end = paper.y;
        }
        if sum.is_total {
            paper.y -= 6.0;
            paper.rule(left, RIGHT, INK);
            paper.y += 18.0;
        }
        paper.text_to(RIGHT, style, &sum.amount);
        for part in parts {
            paper.text(left, style, part);
            paper.y += 17.0;
        }
    }
    paper.y = paper.y.max(end) + 14.0;
}

fn notes(paper: &mut Paper, content: &Content) {
    for note in &content.notes {
        for part in paper.wrap(note, SMALL, RIGHT - LEFT) {
            make_room(paper, 11.0);
            paper.text(LEFT, SMALL, part);
            paper.y += 11.0;
        }
        paper.y += 4.0;
    }
}

#[cfg(test)]
mod tests {
    use lopdf::Document;

    use super::*;

    fn texts(content: &Content) -> Vec<String> {
        let document = Document::load_mem(&write(content).unwrap()).unwrap();
        document.get_pages().keys().map(|page| document.extract_text(&[*page]).unwrap()).collect()
    }

    #[test]
    fn a_long_order_goes_over_pages_and_nothing_is_lost() {
        let line = |n: usize| Line {
            title: format!("Aṣọ òkè {n:03} {}", "very ".repeat(n % 40)),
            details: format!("SKU-{n:03}"),
            quantity: "2".into(),
            price: "GH₵ 10.00".into(),
            amount: "GH₵ 20.00".into(),
        };
        let sum = |what: &str, is_total| Sum { what: what.into(), amount: "GH₵ 1.00".into(), is_total };
        let content = Content {
            number: "INV-2026-000007".into(),
            shop: "AGAPE LOOKS".into(),
            lines: (0..120).map(line).collect(),
            sums: vec![sum("Subtotal", false), sum("Total", true)],
            stamp: Some(StampText { text: "PAID", below: "1 May 2026".into(), color: INK }),
            notes: vec!["word ".repeat(4_000)],
            ..Content::default()
        };
        let pages = texts(&content);
        assert!(pages.len() > 5, "{}", pages.len());
        let all = pages.join("");
        for n in 0..120 {
            assert_eq!(all.matches(&format!("SKU-{n:03}")).count(), 1, "{n}");
        }
        assert_eq!(all.matches("GH₵ 20.00").count(), 120);
        assert_eq!(all.matches("word").count(), 4_000);
        assert_eq!((all.matches("PAID").count(), all.matches("Total").count()), (1, 1));
        for (index, page) in pages.iter().enumerate() {
            assert!(page.contains(&format!("Page {} of {}", index + 1, pages.len())), "{page}");
        }
        let tables = pages.iter().filter(|page| page.contains("SKU-"));
        assert!(tables.clone().count() > 3 && tables.into_iter().all(|page| page.contains("UNIT PRICE")));
    }

    #[test]
    fn sums_with_long_names_stay_above_the_foot() {
        let sum = |letters: usize, is_total| Sum { what: "W".repeat(letters), amount: "₦1.00".into(), is_total };
        let line = Line { title: "Kente".into(), details: "SKU".into(), ..Line::default() };
        let long = || vec![sum(8, false), sum(50, false), sum(90, false), sum(60, false), sum(60, false), sum(5, true)];
        let block = |sums, lines| Content {
            lines: vec![line.clone(); lines],
            sums,
            stamp: Some(StampText { text: "CANCELLED", below: "1 May 2026".into(), color: INK }),
            notes: vec!["word ".repeat(40)],
            ..Content::default()
        };
        let lowest = |content: &Content| lay_out(content).unwrap().lowest();
        // Wherever on the page they begin, few beside the stamp, and more than a page has room for.
        for lines in 0..40 {
            for sums in [long(), vec![sum(1, true)]] {
                let lowest = lowest(&block(sums, lines));
                assert!(lowest <= BOTTOM, "below {lines} lines: {lowest}");
            }
        }
        let many = block((0..70).map(|_| sum(1, false)).collect(), 3);
        assert!(lowest(&many) <= BOTTOM);
        assert_eq!(texts(&many).join("").matches("₦1.00").count(), 70);
    }

    #[test]
    fn what_has_no_end_and_what_has_no_letters_is_written_too() {
        let content = Content {
            shop: "W".repeat(300),
            buyer: vec![String::new(), "漢字 🙂 \u{202e}".into(), "x".repeat(2_000)],
            lines: vec![Line { title: "y".repeat(500), ..Line::default() }],
            ..Content::default()
        };
        let all = texts(&content).join("");
        assert_eq!((all.matches('x').count(), all.matches('y').count()), (2_000, 500));
    }
}
