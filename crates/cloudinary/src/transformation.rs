//! What Cloudinary makes of a picture on its way out.

use std::fmt;
use std::num::NonZeroU16;

/// Steps applied from left to right, with the automatic choices last, as Cloudinary
/// recommends (Cloudinary, "Transformation URL syntax").
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Transformation {
    steps: Vec<String>,
    auto_format: bool,
    auto_quality: bool,
}

/// What of a picture stays in view when it is cropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Gravity {
    /// Its middle.
    #[default]
    Center,
    /// What Cloudinary finds most important.
    Auto,
}

/// The box that a picture must fit in, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bounds {
    /// Any height.
    Width(NonZeroU16),
    /// Any width.
    Height(NonZeroU16),
    /// Both, width first.
    Both(NonZeroU16, NonZeroU16),
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width(width) => write!(f, "w_{width}"),
            Self::Height(height) => write!(f, "h_{height}"),
            Self::Both(width, height) => write!(f, "h_{height},w_{width}"),
        }
    }
}

impl Transformation {
    /// The picture as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Exactly this size; what does not fit is cut off.
    #[must_use]
    pub fn fill(self, width: NonZeroU16, height: NonZeroU16, gravity: Gravity) -> Self {
        let bounds = Bounds::Both(width, height);
        self.step(match gravity {
            Gravity::Center => format!("c_fill,{bounds}"),
            Gravity::Auto => format!("c_fill,g_auto,{bounds}"),
        })
    }

    /// As large as fits in the box, nothing cut off; a small picture is enlarged.
    #[must_use]
    pub fn fit(self, bounds: Bounds) -> Self {
        self.step(format!("c_fit,{bounds}"))
    }

    /// As [`fit`](Self::fit), but never enlarged.
    #[must_use]
    pub fn limit(self, bounds: Bounds) -> Self {
        self.step(format!("c_limit,{bounds}"))
    }

    /// Exactly this size, nothing cut off; the rest is filled with the background.
    #[must_use]
    pub fn pad(self, width: NonZeroU16, height: NonZeroU16) -> Self {
        self.step(format!("c_pad,{}", Bounds::Both(width, height)))
    }

    /// In the best format that the asking browser understands.
    #[must_use]
    pub fn auto_format(mut self) -> Self {
        self.auto_format = true;
        self
    }

    /// As much compressed as the eye does not see.
    #[must_use]
    pub fn auto_quality(mut self) -> Self {
        self.auto_quality = true;
        self
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.components().next().is_none()
    }

    fn step(mut self, step: String) -> Self {
        self.steps.push(step);
        self
    }

    /// The path segments.
    pub(crate) fn components(&self) -> impl Iterator<Item = &str> {
        let last = match (self.auto_format, self.auto_quality) {
            (true, true) => Some("f_auto,q_auto"),
            (true, false) => Some("f_auto"),
            (false, true) => Some("q_auto"),
            (false, false) => None,
        };
        self.steps.iter().map(String::as_str).chain(last)
    }
}

/// As in a URL and in the `transformation` parameter, such as
/// `c_limit,w_800/f_auto,q_auto`.
impl fmt::Display for Transformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, component) in self.components().enumerate() {
            let slash = if i > 0 { "/" } else { "" };
            write!(f, "{slash}{component}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_their_order_and_automatic_choices_come_last() {
        let px = |pixels| NonZeroU16::new(pixels).unwrap();
        let shown = |transformation: Transformation| transformation.to_string();
        let new = Transformation::new;
        assert!(new().is_empty() && shown(new()).is_empty());
        assert_eq!(shown(new().fill(px(400), px(300), Gravity::Center)), "c_fill,h_300,w_400");
        assert_eq!(shown(new().fit(Bounds::Width(px(80)))), "c_fit,w_80");
        assert_eq!(shown(new().limit(Bounds::Height(px(80))).auto_quality()), "c_limit,h_80/q_auto");
        assert_eq!(
            shown(new().auto_format().pad(px(2), px(1)).fit(Bounds::Both(px(4), px(3)))),
            "c_pad,h_1,w_2/c_fit,h_3,w_4/f_auto"
        );
        assert!(!new().auto_format().is_empty());
    }
}
