//! The parts of a JPEG, as far as they have to be known before it is decoded.

/// Most scans of a JPEG that comes into view step by step; encoders write about ten.
const MAX_SCANS: u32 = 100;

/// What the parts tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scans {
    /// Where the mark of the end stands.
    end: usize,
    /// Colours, if it comes into view step by step; otherwise none.
    progressive: u8,
}

/// Reads the parts, not what is inside of them: a segment may hold another picture. None where there is no end, because the
/// decoder would fill what is missing with grey; and where there are too many scans, of which each of a few bytes goes over the
/// whole picture once more.
pub(super) fn scan(bytes: &[u8]) -> Option<Scans> {
    let (mut at, mut scans, mut progressive) = (2, 0, 0);
    loop {
        // What is no marker is data of a scan; some markers stand inside of it.
        while *bytes.get(at)? != 0xFF || matches!(*bytes.get(at + 1)?, 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF) {
            at += 1;
        }
        match *bytes.get(at + 1)? {
            0xD9 => return Some(Scans { end: at, progressive }),
            0xDA if scans == MAX_SCANS => return None,
            0xDA => scans += 1,
            // The head of a progressive frame: length, bits, height, width, colours.
            0xC2 => progressive = *bytes.get(at + 9)?,
            _ => {}
        }
        let length = u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
        at += 2 + usize::from(length);
    }
}

/// Bytes that the coefficients of a progressive picture take: two for each colour of each pixel, in whole blocks.
pub(super) fn coefficients(scans: Scans, width: u32, height: u32) -> u64 {
    let whole = |side: u32| u64::from(side.next_multiple_of(32));
    2 * u64::from(scans.progressive) * whole(width) * whole(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_jpeg_is_not_that_of_a_picture_inside() {
        let end = |bytes: &[u8]| scan(bytes).map(|scans| scans.end);
        let inside = b"\xFF\xD8\xFF\xE1\x00\x06\xFF\xD8\xFF\xD9";
        assert_eq!(end(&[&inside[..], b"\xFF\xDA\x00\x02ab\xFF\x00\xFF\xD0c\xFF\xD9"].concat()), Some(21));
        for cut in [&b"\xFF\xD8"[..], b"\xFF\xD8\xFF", inside, b"\xFF\xD8\xFF\xDA\x00\x02abc\xFF"] {
            assert_eq!(end(cut), None);
        }
        let scans = |count| [&b"\xFF\xD8"[..], &b"\xFF\xDA\x00\x02".repeat(count), b"\xFF\xD9"].concat();
        assert_eq!((end(&scans(100)), end(&scans(101))), (Some(402), None));
    }

    #[test]
    fn a_picture_that_comes_step_by_step_says_how_many_colours_it_has() {
        let of = |marker: u8| [0xFF, 0xD8, 0xFF, marker, 0, 8, 8, 0, 16, 0, 16, 3, 0xFF, 0xD9];
        let told = |marker| scan(&of(marker)).map(|scans| scans.progressive);
        assert_eq!((told(0xC0), told(0xC2)), (Some(0), Some(3)));
        assert_eq!(coefficients(Scans { end: 0, progressive: 3 }, 33, 32), 2 * 3 * 64 * 32);
    }
}
