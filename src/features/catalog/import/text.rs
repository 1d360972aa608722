//! Text cells: names, codes and handles.

/// Characters that make a spreadsheet take a cell for a formula.
const FORMULA_STARTS: [char; 5] = ['=', '+', '-', '@', '\t'];

/// A cell that is one line: control characters and repeated white space
/// become single spaces, and the `'` by which programs keep a spreadsheet
/// from taking the text for a formula is removed.
pub(super) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    match out.strip_prefix('\'') {
        Some(rest) if rest.starts_with(FORMULA_STARTS) => rest.to_owned(),
        _ => out,
    }
}

/// A code such as an article number or barcode, where a leading `'` never
/// belongs to the code.
pub(super) fn code(text: &str) -> String {
    let line = line(text);
    match line.strip_prefix('\'') {
        Some(rest) => rest.to_owned(),
        None => line,
    }
}

/// Whether a spreadsheet would take the text for a formula.
pub(super) fn looks_like_formula(text: &str) -> bool {
    text.starts_with(FORMULA_STARTS)
}

/// The name in an address: lower-case `a-z`, `0-9` and single `-`.
/// Letters with marks lose the marks (`Àdìrẹ` becomes `adire`), apostrophes
/// vanish, everything else becomes a hyphen.
pub(super) fn slug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars().flat_map(char::to_lowercase) {
        match plain_letter(c) {
            Some(plain) => out.push_str(plain),
            None if c.is_ascii_alphanumeric() => out.push(c),
            None if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            None => {}
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    out
}

/// What stands for a letter with marks; empty for what simply vanishes.
fn plain_letter(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' | 'ạ' | 'ǎ' => "a",
        'ç' | 'ć' | 'č' => "c",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' | 'ẹ' | 'ɛ' => "e",
        'ɣ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ị' | 'ǐ' => "i",
        'ñ' | 'ń' | 'ň' | 'ǹ' | 'ṅ' => "n",
        'ŋ' => "ng",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ọ' | 'ǒ' | 'ɔ' => "o",
        'ṣ' | 'ś' | 'š' | 'ş' => "s",
        'ß' => "ss",
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ụ' | 'ǔ' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'æ' => "ae",
        'œ' => "oe",
        // Combining marks, and apostrophes of both kinds.
        '\u{300}'..='\u{36F}' | '\'' | '\u{2018}' | '\u{2019}' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_become_slugs() {
        for (text, expected) in [
            ("kente-gold", "kente-gold"),
            (" Àdìrẹ Ẹlẹ́kọ ", "adire-eleko"),
            ("Women's 5/8 wrap__set!", "womens-5-8-wrap-set"),
            ("—", ""),
            ("日本", ""),
        ] {
            assert_eq!(slug(text), expected);
        }
    }

    #[test]
    fn a_protecting_apostrophe_is_removed() {
        assert_eq!(line(" '=SUM(A1) "), "=SUM(A1)");
        assert_eq!(line("'Sunday' gown\n\t blue"), "'Sunday' gown blue");
        assert_eq!(code("'0012"), "0012");
    }
}
