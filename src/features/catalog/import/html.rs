//! Descriptions in HTML.

/// A description as plain text.
///
/// Tags go, paragraphs and line breaks stay, list items get a `•`, character
/// references such as `&amp;` are decoded; what is in `<script>`, `<style>`
/// and comments is dropped. A text without any tag keeps its own line breaks.
pub(super) fn to_text(html: &str) -> String {
    let mut out = Text::default();
    let mut rest = html;
    let is_html = html.match_indices('<').any(|(at, _)| html.get(at..).is_some_and(|from| tag_name(from).is_some()));
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push(before, is_html);
        let Some((name, closing)) = tag_name(from) else {
            out.push("<", is_html);
            rest = from.get(1..).unwrap_or_default();
            continue;
        };
        let Some(end) = tag_end(from) else {
            // Nothing closes here or further on: the rest is text.
            rest = "";
            out.push(from, is_html);
            continue;
        };
        rest = from.get(end..).unwrap_or_default();
        if name == "br" || name == "tr" {
            out.break_line(1);
        } else if name == "li" && !closing {
            out.break_line(1);
            out.push("• ", is_html);
        } else if is_block(&name) {
            out.break_line(2);
        } else if matches!(name.as_str(), "td" | "th") {
            out.push(" ", is_html);
        } else if !closing && is_hidden(&name) {
            rest = after_closing_tag(rest, &name);
        }
    }
    out.push(rest, is_html);
    out.finish()
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "ul"
            | "ol"
            | "table"
            | "blockquote"
            | "section"
            | "article"
            | "hr"
            | "pre"
            | "dl"
            | "figure"
    )
}

fn is_hidden(name: &str) -> bool {
    matches!(name, "script" | "style" | "head" | "iframe" | "template" | "noscript")
}

/// The tag's name in lower case and whether it is a closing tag, if a tag
/// (or comment, named `!`) starts here.
fn tag_name(from: &str) -> Option<(String, bool)> {
    let inside = from.strip_prefix('<')?;
    if inside.starts_with(['!', '?']) {
        return Some(("!".to_owned(), false));
    }
    let (inside, closing) = match inside.strip_prefix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let name: String = inside.chars().take_while(char::is_ascii_alphanumeric).take(20).collect();
    (name.starts_with(|c: char| c.is_ascii_alphabetic())).then(|| (name.to_ascii_lowercase(), closing))
}

/// Where the tag that starts here ends, past its `>`.
fn tag_end(from: &str) -> Option<usize> {
    /// How far a `>` inside an attribute's quotes is told from the tag's own.
    const QUOTED_REACH: usize = 4096;

    if let Some(comment) = from.strip_prefix("<!--") {
        let body = comment.find("-->")?;
        return Some(body.saturating_add("<!---->".len()));
    }
    let mut quote = None;
    for (at, byte) in from.bytes().enumerate().take(QUOTED_REACH) {
        match (quote, byte) {
            (None, b'>') => return Some(at.saturating_add(1)),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    from.find('>').map(|at| at.saturating_add(1))
}

fn after_closing_tag<'a>(text: &'a str, name: &str) -> &'a str {
    text.match_indices("</")
        .filter_map(|(at, _)| text.get(at..))
        .find(|from| tag_name(from).is_some_and(|(found, _)| found == name))
        .and_then(|from| from.get(tag_end(from)?..))
        .unwrap_or_default()
}

/// Text being put together from pieces.
#[derive(Default)]
struct Text {
    out: String,
    breaks: usize,
    space: bool,
}

impl Text {
    fn push(&mut self, raw: &str, is_html: bool) {
        let mut rest = raw;
        while let Some(c) = rest.chars().next() {
            let (c, len) = match decode_reference(rest) {
                Some(decoded) => decoded,
                None => (c, c.len_utf8()),
            };
            rest = rest.get(len..).unwrap_or_default();
            match c {
                '\n' if !is_html => self.break_line(self.breaks.saturating_add(1).min(2)),
                '\r' | '\u{FEFF}' | '\u{200B}' => {}
                c if c.is_whitespace() || c.is_control() => self.space = true,
                c => self.put(c),
            }
        }
    }

    fn put(&mut self, c: char) {
        if !self.out.is_empty() {
            if self.breaks > 0 {
                for _ in 0..self.breaks {
                    self.out.push('\n');
                }
            } else if self.space {
                self.out.push(' ');
            }
        }
        self.breaks = 0;
        self.space = false;
        self.out.push(c);
    }

    fn break_line(&mut self, count: usize) {
        self.breaks = self.breaks.max(count);
        self.space = false;
    }

    fn finish(self) -> String {
        self.out
    }
}

/// The character that a reference such as `&eacute;` at the start of `text`
/// stands for, and the reference's length.
fn decode_reference(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('&')?;
    let end = body.bytes().take(12).position(|b| b == b';')?;
    let name = body.get(..end)?;
    let c = if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        char::from_u32(code)?
    } else {
        named_character(name)?
    };
    Some((c, end.saturating_add(2)))
}

fn named_character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{A0}',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "bull" => '•',
        "middot" => '·',
        "times" => '×',
        "deg" => '°',
        "frac12" => '½',
        "frac14" => '¼',
        "frac34" => '¾',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "pound" => '£',
        "euro" => '€',
        "cent" => '¢',
        "agrave" => 'à',
        "aacute" => 'á',
        "ccedil" => 'ç',
        "egrave" => 'è',
        "eacute" => 'é',
        "ecirc" => 'ê',
        "igrave" => 'ì',
        "iacute" => 'í',
        "ntilde" => 'ñ',
        "ograve" => 'ò',
        "oacute" => 'ó',
        "ouml" => 'ö',
        "ugrave" => 'ù',
        "uacute" => 'ú',
        "uuml" => 'ü',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_become_text() {
        for (html, expected) in [
            ("<p>One</p>\n<p>Two<br>three</p>", "One\n\nTwo\nthree"),
            ("<ul><li>Silk</li><li>Cotton</li></ul>", "• Silk\n• Cotton"),
            ("Plain\nlines\n\n\n\nkept", "Plain\nlines\n\nkept"),
            ("<b>Asante</b>   &amp; Ewe&nbsp;cloth", "Asante & Ewe cloth"),
            ("&lt;b&gt; &#233; &#x1F9F5; &bogus; & ", "<b> é 🧵 &bogus; &"),
            ("width < 5 > 3", "width < 5 > 3"),
            ("a<script>alert('x')</script>b<style>p{}</style>c", "abc"),
            ("a<!-- <p>no</p> -->b", "ab"),
            ("<a title=\"x > y\" href='/z'>link</a>", "link"),
            ("cut <b", "cut <b"),
            ("<p", "<p"),
            ("<script>never closed", ""),
            ("<p>Wrapped\nin source</p>", "Wrapped in source"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), expected, "{html}");
        }
    }

    #[test]
    fn awkward_markup_takes_no_time() {
        for piece in ["<a ", "<a '> ", "<", "&", "<script>", "</", "<!--", "<a \"'>"] {
            let html = piece.repeat(1_000_000 / piece.len());
            let _ = to_text(&html);
        }
    }
}
