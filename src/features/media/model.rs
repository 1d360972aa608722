//! What a picture is: its format, its name in a store, and how it is shown.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::ids::{AssetId, UserId};
use crate::platform::text::Text;

/// What a picture shows, in words.
pub(super) type Alt = Text<0, 300>;

/// Most pictures of one product.
pub const MAX_IMAGES: usize = 10;

/// Most files of one upload.
pub(super) const MAX_FILES: usize = 10;

/// Where files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Provider {
    /// In the data directory.
    Local,
    /// In a bucket of an S3-compatible store.
    S3,
    /// At Cloudinary.
    Cloudinary,
}

/// The formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JPEG.
    Jpeg,
    /// PNG, without animation.
    Png,
    /// WebP, without animation.
    Webp,
    /// GIF, which may move.
    Gif,
}

impl Format {
    /// Every format.
    pub(super) const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Webp, Self::Gif];

    /// What the first bytes of a file say. Its name and its declared type do not matter.
    pub(super) fn sniff(bytes: &[u8]) -> Option<Self> {
        let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            _ if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") => Some(Self::Gif),
            _ if webp => Some(Self::Webp),
            _ => None,
        }
    }

    /// The media type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// The end of a file's name, without the dot.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }

    /// The format of a media type.
    pub(super) fn of_content_type(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.content_type() == text)
    }
}

/// The name of a stored file, such as `018f….jpg`. It is made by this program, never by who uploads, and never used twice.
/// What comes from an address is read by the same strict rule, so no path can hide in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    id: Uuid,
    format: Format,
}

impl FileName {
    /// A new name.
    pub(super) fn new(format: Format) -> Self {
        Self { id: Uuid::now_v7(), format }
    }

    /// Every name that a file with this id may have.
    pub(super) fn all_of(id: Uuid) -> [Self; 4] {
        Format::ALL.map(|format| Self { id, format })
    }

    /// Its id, which no other file has.
    pub(super) fn id(self) -> Uuid {
        self.id
    }

    pub(super) fn format(self) -> Format {
        self.format
    }

    /// Two short names of folders, so that no folder holds too many files. The end of an id is random.
    pub(super) fn folders(self) -> (String, String) {
        let bytes = self.id.as_bytes();
        (hex::encode(&bytes[15..]), hex::encode(&bytes[14..15]))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, self.format.extension())
    }
}

impl FromStr for FileName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, extension) = text.split_once('.').ok_or(())?;
        let format = Format::ALL.into_iter().find(|format| format.extension() == extension).ok_or(())?;
        let name = Self { id: id.parse().map_err(|_| ())?, format };
        // Ids have several spellings; files have one name.
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

/// How a picture is fitted into a box. It is never enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Cut to the shape of the box.
    Fill,
    /// The whole picture.
    Whole,
}

/// A picture in another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub fit: Fit,
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub(super) const THUMBNAIL: Self = Self { fit: Fit::Fill, width: 200, height: 200 };
    pub(super) const CARD: Self = Self { fit: Fit::Fill, width: 400, height: 500 };
    pub(super) const DETAIL: Self = Self { fit: Fit::Whole, width: 1000, height: 1000 };
    pub(super) const ZOOM: Self = Self { fit: Fit::Whole, width: 2000, height: 2000 };
    /// The longest side that an address may ask for, signed or not.
    const MAX: u32 = 4000;
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fit = match self.fit {
            Fit::Fill => "fill",
            Fit::Whole => "fit",
        };
        write!(f, "{fit}-{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (fit, sides) = text.split_once('-').ok_or(())?;
        let fit = match fit {
            "fill" => Fit::Fill,
            "fit" => Fit::Whole,
            _ => return Err(()),
        };
        let (width, height) = sides.split_once('x').ok_or(())?;
        let size = Self { fit, width: width.parse().map_err(|_| ())?, height: height.parse().map_err(|_| ())? };
        let fits = (1..=Self::MAX).contains(&size.width) && (1..=Self::MAX).contains(&size.height);
        if fits && size.to_string() == text { Ok(size) } else { Err(()) }
    }
}

/// The addresses of a picture in the sizes that pages need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Presets {
    /// 200 × 200, cut to fit.
    pub thumbnail: String,
    /// 400 × 500, cut to fit.
    pub card: String,
    /// At most 1000 × 1000, whole.
    pub detail: String,
    /// At most 2000 × 2000, whole.
    pub zoom: String,
}

/// Where a picture is kept: what its addresses are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Who keeps it.
    pub provider: Provider,
    /// Its name there.
    pub key: String,
    /// The provider's number of this state of the file, where it has one.
    pub version: Option<i64>,
}

/// A picture of the shop's own.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its id.
    pub id: AssetId,
    /// Where it is kept.
    pub place: Place,
    /// Its address, as products keep it: absolute, or a path on this server.
    pub url: String,
    /// Its media type.
    pub content_type: String,
    /// Bytes.
    pub bytes: i64,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Of the file as it is kept.
    pub sha256: Vec<u8>,
    /// What it shows, for people who do not see it; the default of a product's picture.
    pub alt: String,
    /// Who brought it.
    pub created_by: Option<UserId>,
    /// When.
    pub created_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_the_first_bytes() {
        assert_eq!(Format::sniff(b"\xFF\xD8\xFF\xE0rest"), Some(Format::Jpeg));
        assert_eq!(Format::sniff(b"\x89PNG\r\n\x1A\nrest"), Some(Format::Png));
        assert_eq!(Format::sniff(b"GIF89arest"), Some(Format::Gif));
        assert_eq!(Format::sniff(b"RIFF\x01\x02\x03\x04WEBPVP8 "), Some(Format::Webp));
        for other in [&b""[..], b"<svg", b"RIFF\x01\x02\x03\x04WAVE", b"\x89PNG\n\n", b"PK\x03\x04", b"%PDF", b"MZ"] {
            assert_eq!(Format::sniff(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_name_has_one_spelling_and_no_path() {
        let name = FileName::new(Format::Png);
        assert_eq!(name.to_string().parse(), Ok(name));
        let id = name.to_string().replace(".png", "");
        let (upper, bare) = (id.to_uppercase(), id.replace('-', ""));
        for wrong in [
            format!("{upper}.png"),
            format!("{bare}.png"),
            format!("{{{id}}}.png"),
            format!("../{id}.png"),
            format!("{id}.png/.."),
            format!("{id}.svg"),
            format!("{id}.png.webp"),
            id,
            String::new(),
        ] {
            assert_eq!(wrong.parse::<FileName>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_size_has_one_spelling_and_an_end() {
        for size in [Size::THUMBNAIL, Size::CARD, Size::DETAIL, Size::ZOOM] {
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        for wrong in ["fill-0x1", "fill-1x5000", "fit-01x1", "fit-+1x1", "crop-1x1", "fit-1", "fit-1x1x1", "", "fit-x"]
        {
            assert_eq!(wrong.parse::<Size>(), Err(()), "{wrong}");
        }
    }
}
