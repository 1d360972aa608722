//! Paper: what is written at which place of which page, and the PDF file that this makes.
#![expect(clippy::float_arithmetic, reason = "lengths on paper; amounts come as text")]

use std::sync::LazyLock;

use anyhow::Context;
use chrono::{DateTime, Datelike, Timelike, Utc};
use krilla::Document;
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect, Transform};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;
use krilla::text::{Font, TextDirection};
use ttf_parser::Face;

/// A4 (ISO 216), in points of 1/72 inch.
pub(super) const WIDTH: f32 = 595.28;
pub(super) const HEIGHT: f32 = 841.89;

/// How strongly something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// Red, green and blue.
pub(super) type Color = (u8, u8, u8);

pub(super) const INK: Color = (0x1c, 0x1c, 0x1e);
pub(super) const GREY: Color = (0x6b, 0x6b, 0x70);
pub(super) const PALE: Color = (0xd9, 0xd9, 0xde);

/// How a text looks: its size in points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub size: f32,
    pub weight: Weight,
    pub color: Color,
}

impl Style {
    pub(super) const fn regular(size: f32) -> Self {
        Self { size, weight: Weight::Regular, color: INK }
    }

    pub(super) const fn bold(size: f32) -> Self {
        Self { size, weight: Weight::Bold, color: INK }
    }

    pub(super) const fn colored(self, color: Color) -> Self {
        Self { color, ..self }
    }
}

/// Both weights of a font that has the signs of naira and cedi, to be drawn and to be measured.
struct Typeface {
    font: Font,
    face: Face<'static>,
}

impl Typeface {
    fn load(file: &'static [u8]) -> anyhow::Result<Self> {
        let font = Font::new(file.into(), 0).context("the font cannot be read")?;
        Ok(Self { font, face: Face::parse(file, 0)? })
    }

    fn width(&self, text: &str, size: f32) -> f32 {
        let advance = |c| self.face.glyph_index(c).and_then(|glyph| self.face.glyph_hor_advance(glyph)).unwrap_or(600);
        let units: u32 = text.chars().map(|c| u32::from(advance(c))).sum();
        #[expect(clippy::cast_precision_loss, reason = "lines are short")]
        let units = units as f32;
        units * size / f32::from(self.face.units_per_em())
    }
}

static FONTS: LazyLock<anyhow::Result<(Typeface, Typeface)>> =
    LazyLock::new(|| Ok((Typeface::load(notosans::REGULAR_TTF)?, Typeface::load(notosans::BOLD_TTF)?)));

/// Something on a page.
#[derive(Debug)]
enum Mark {
    Text {
        at: (f32, f32),
        style: Style,
        text: String,
    },
    Line {
        from: (f32, f32),
        to: (f32, f32),
        color: Color,
    },
    /// A frame with a text in it and one below, aslant.
    Stamp {
        at: (f32, f32),
        color: Color,
        text: String,
        below: String,
    },
}

/// Pages that are written from the top to the bottom.
pub(super) struct Paper {
    regular: &'static Typeface,
    bold: &'static Typeface,
    pages: Vec<Vec<Mark>>,
    /// How far down the last page is written, in points from its upper edge.
    pub y: f32,
}

impl Paper {
    /// One empty page.
    ///
    /// # Errors
    /// When the program's fonts are damaged.
    pub(super) fn new(top: f32) -> anyhow::Result<Self> {
        let (regular, bold) = FONTS.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Ok(Self { regular, bold, pages: vec![Vec::new()], y: top })
    }

    pub(super) fn turn(&mut self, top: f32) {
        self.pages.push(Vec::new());
        self.y = top;
    }

    fn typeface(&self, weight: Weight) -> &'static Typeface {
        match weight {
            Weight::Regular => self.regular,
            Weight::Bold => self.bold,
        }
    }

    /// How wide a text is, in points.
    pub(super) fn width(&self, text: &str, style: Style) -> f32 {
        self.typeface(style.weight).width(text, style.size)
    }

    /// Breaks a text into lines of at most `width`, between words where that goes.
    pub(super) fn wrap(&self, text: &str, style: Style, width: f32) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in text.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if self.width(&longer, style) <= width {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            for c in word.chars() {
                line.push(c);
                if self.width(&line, style) > width && line.chars().count() > 1 {
                    line.pop();
                    lines.push(std::mem::replace(&mut line, c.to_string()));
                }
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    /// Writes a line whose foot stands at `y`.
    pub(super) fn text(&mut self, x: f32, style: Style, text: impl Into<String>) {
        let at = (x, self.y);
        self.mark(Mark::Text { at, style, text: text.into() });
    }

    /// Writes a line that ends at `right`.
    pub(super) fn text_to(&mut self, right: f32, style: Style, text: &str) {
        let x = right - self.width(text, style);
        self.text(x, style, text);
    }

    /// Draws a line from the left to the right at `y`.
    pub(super) fn rule(&mut self, left: f32, right: f32, color: Color) {
        let y = self.y;
        self.mark(Mark::Line { from: (left, y), to: (right, y), color });
    }

    /// Stamps a word and what is below it, with its middle there.
    pub(super) fn stamp(&mut self, at: (f32, f32), color: Color, text: &str, below: &str) {
        self.mark(Mark::Stamp { at, color, text: text.to_owned(), below: below.to_owned() });
    }

    /// Writes a line at a place of every page, made for its number and that of the last one.
    pub(super) fn on_every_page(&mut self, place: (f32, f32), style: Style, text: impl Fn(usize, usize) -> String) {
        let all = self.pages.len();
        for (index, page) in self.pages.iter_mut().enumerate() {
            page.push(Mark::Text { at: place, style, text: text(index + 1, all) });
        }
    }

    /// How far down the lowest thing of all pages stands.
    #[cfg(test)]
    pub(super) fn lowest(&self) -> f32 {
        let ends = self.pages.iter().flatten().map(|mark| match mark {
            Mark::Text { at, .. } => at.1,
            Mark::Line { from, to, .. } => from.1.max(to.1),
            // From its middle to the lowest corner of its frame, which stands aslant.
            Mark::Stamp { at, .. } => at.1 + 44.0,
        });
        ends.fold(0.0, f32::max)
    }

    /// The file.
    ///
    /// # Errors
    /// When a page cannot be written.
    pub(super) fn finish(self, title: &str, author: &str, made_at: DateTime<Utc>) -> anyhow::Result<Vec<u8>> {
        let mut document = Document::new();
        for page in &self.pages {
            let settings = PageSettings::from_wh(WIDTH, HEIGHT).context("the size of the page")?;
            let mut sheet = document.start_page_with(settings);
            let mut surface = sheet.surface();
            for mark in page {
                self.draw(&mut surface, mark);
            }
            surface.finish();
            sheet.finish();
        }
        let metadata = Metadata::new()
            .title(title.to_owned())
            .authors(vec![author.to_owned()])
            .language("en".to_owned())
            .creation_date(time(made_at));
        document.set_metadata(metadata);
        document.finish().map_err(|error| anyhow::anyhow!("the PDF cannot be written: {error:?}"))
    }

    fn draw(&self, surface: &mut Surface<'_>, mark: &Mark) {
        match mark {
            Mark::Text { at, style, text } => self.write(surface, *at, *style, text),
            Mark::Line { from, to, color } => {
                let mut path = PathBuilder::new();
                path.move_to(from.0, from.1);
                path.line_to(to.0, to.1);
                stroke(surface, path, *color, 0.75);
            }
            Mark::Stamp { at, color, text, below } => {
                let (large, small) = (Style::bold(26.0).colored(*color), Style::regular(9.0).colored(*color));
                let (wide, narrow) = (self.width(text, large), self.width(below, small));
                let (width, height) = (wide.max(narrow) + 28.0, if below.is_empty() { 42.0 } else { 54.0 });
                surface.push_transform(&Transform::from_rotate_at(-8.0, at.0, at.1));
                if let Some(frame) = Rect::from_xywh(at.0 - width / 2.0, at.1 - height / 2.0, width, height) {
                    let mut path = PathBuilder::new();
                    path.push_rect(frame);
                    stroke(surface, path, *color, 2.0);
                }
                self.write(surface, (at.0 - wide / 2.0, at.1 - height / 2.0 + 31.0), large, text);
                self.write(surface, (at.0 - narrow / 2.0, at.1 + height / 2.0 - 9.0), small, below);
                surface.pop();
            }
        }
    }

    fn write(&self, surface: &mut Surface<'_>, at: (f32, f32), style: Style, text: &str) {
        let (red, green, blue) = style.color;
        surface.set_stroke(None);
        surface.set_fill(Some(Fill {
            paint: rgb::Color::new(red, green, blue).into(),
            opacity: NormalizedF32::ONE,
            rule: krilla::paint::FillRule::default(),
        }));
        let font = self.typeface(style.weight).font.clone();
        surface.draw_text(Point::from_xy(at.0, at.1), font, style.size, text, false, TextDirection::Auto);
    }
}

fn stroke(surface: &mut Surface<'_>, path: PathBuilder, color: Color, width: f32) {
    let Some(path) = path.finish() else { return };
    surface.set_fill(None);
    let paint = rgb::Color::new(color.0, color.1, color.2).into();
    surface.set_stroke(Some(Stroke { paint, width, ..Stroke::default() }));
    surface.draw_path(&path);
}

fn time(at: DateTime<Utc>) -> krilla::metadata::DateTime {
    let part = |part: u32| u8::try_from(part).unwrap_or_default();
    krilla::metadata::DateTime::new(u16::try_from(at.year()).unwrap_or_default())
        .month(part(at.month()))
        .day(part(at.day()))
        .hour(part(at.hour()))
        .minute(part(at.minute()))
        .second(part(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}
