//! The cloths: what each is called, its colours and how it is made.
//!
//! Woven designs count threads, four design units each. Printed and
//! embroidered ones measure in sixteenths of a design unit.

use super::surface::{adire_eleko, adire_oniko, ankara, lace};
use super::woven::{aso_oke, brocade, fugu, kente};

/// Red, green and blue.
pub(super) type Rgb = [u8; 3];

/// The colours of a cloth; what each is for depends on the design.
pub(super) type Colours = [Rgb; 6];

/// One cloth.
pub(super) struct Cloth {
    pub(super) name: &'static str,
    pub(super) design: Design,
    pub(super) colours: Colours,
}

/// How a cloth gets its pattern.
pub(super) enum Design {
    /// By its threads: what lies on top where warp and weft cross.
    Woven(fn(&Colours, i32, i32) -> Crossing),
    /// By print on plain cloth: the colour of a point.
    Printed(fn(&Colours, i32, i32) -> Rgb),
    /// By dye that creeps along the threads of plain cloth: the colour of a
    /// crossing of threads.
    Dyed(fn(&Colours, i32, i32) -> Rgb),
    /// By stitches that bring their own texture: the colour of a point.
    Embroidered(fn(&Colours, i32, i32) -> Rgb),
}

/// What is seen where two threads cross.
pub(super) struct Crossing {
    pub(super) colour: Rgb,
    pub(super) face: Face,
}

/// Which thread is on top.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Warp,
    Weft,
    /// Neither: a hole, and the colour is what is seen through it.
    Open,
}

const BLACK: Rgb = [28, 24, 26];
const GOLD: Rgb = [224, 164, 32];
const GREEN: Rgb = [24, 108, 60];
const RED: Rgb = [176, 34, 38];
const BLUE: Rgb = [30, 62, 150];
const CREAM: Rgb = [240, 230, 206];
const WHITE: Rgb = [246, 245, 240];
const WINE: Rgb = [112, 20, 46];
const TEAL: Rgb = [10, 104, 108];
const SILVER: Rgb = [196, 198, 204];
const NAVY: Rgb = [30, 38, 78];
const INDIGO: Rgb = [32, 42, 98];

impl Cloth {
    /// Every cloth there is a picture of.
    pub(super) const ALL: &[Self] = &[
        Self {
            name: "kente-gold",
            design: Design::Woven(kente),
            colours: [GOLD, GREEN, RED, BLACK, CREAM, [236, 190, 70]],
        },
        Self {
            name: "kente-blue",
            design: Design::Woven(kente),
            colours: [BLUE, GOLD, WHITE, [18, 30, 84], RED, [62, 104, 196]],
        },
        Self {
            name: "aso-oke-wine",
            design: Design::Woven(aso_oke),
            colours: [WINE, [150, 44, 72], GOLD, [70, 10, 28], CREAM, [42, 14, 22]],
        },
        Self {
            name: "aso-oke-teal",
            design: Design::Woven(aso_oke),
            colours: [TEAL, [42, 142, 140], SILVER, [6, 66, 72], WHITE, [10, 36, 40]],
        },
        Self {
            name: "aso-oke-navy",
            design: Design::Woven(aso_oke),
            colours: [NAVY, [58, 70, 126], GOLD, [18, 22, 48], SILVER, [12, 14, 28]],
        },
        Self {
            name: "fugu-blue",
            design: Design::Woven(fugu),
            colours: [[236, 234, 226], [38, 66, 132], [22, 26, 46], [120, 150, 196], BLACK, BLACK],
        },
        Self {
            name: "lace-ivory",
            design: Design::Embroidered(lace),
            colours: [[244, 236, 218], [192, 174, 146], [222, 208, 180], [253, 248, 236], [200, 182, 150], GOLD],
        },
        Self {
            name: "lace-coral",
            design: Design::Embroidered(lace),
            colours: [[232, 112, 96], [122, 46, 44], [202, 82, 72], [250, 158, 138], [170, 62, 56], GOLD],
        },
        Self {
            name: "brocade-white",
            design: Design::Woven(brocade),
            colours: [[226, 226, 224], [252, 252, 250], [212, 213, 213], WHITE, WHITE, WHITE],
        },
        Self {
            name: "brocade-purple",
            design: Design::Woven(brocade),
            colours: [[86, 38, 118], [134, 78, 168], [74, 30, 104], WHITE, WHITE, WHITE],
        },
        Self {
            name: "adire-oniko",
            design: Design::Dyed(adire_oniko),
            colours: [INDIGO, [52, 68, 132], [96, 122, 176], [160, 182, 212], [214, 224, 234], [26, 33, 80]],
        },
        Self {
            name: "adire-eleko",
            design: Design::Printed(adire_eleko),
            colours: [INDIGO, [60, 78, 142], [120, 146, 194], [174, 194, 220], [214, 224, 234], [26, 33, 80]],
        },
        Self {
            name: "ankara-sunset",
            design: Design::Printed(ankara),
            colours: [[238, 124, 28], [250, 196, 56], [150, 26, 44], [22, 40, 96], [252, 240, 214], [214, 84, 30]],
        },
        Self {
            name: "ankara-palm",
            design: Design::Printed(ankara),
            colours: [[16, 122, 92], [242, 200, 60], [16, 58, 66], [196, 42, 82], [250, 244, 222], [10, 98, 76]],
        },
    ];
}
