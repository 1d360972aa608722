//! The demonstration catalogue: AGAPE's own goods as a product file, and the
//! pictures of their cloth, drawn rather than stored.
//!
//! The file is an ordinary import file and goes in through
//! [`import`](super::import) like any other. Its pictures are `/media/demo/<name>.png`,
//! where `<name>` is one of [`weave::names`].

mod cloths;
mod geometry;
mod surface;
pub mod weave;
mod woven;

/// The catalogue, in Shopify's product CSV with AGAPE's extra columns.
pub const PRODUCTS_CSV: &str = include_str!("products.csv");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::import;
    use super::PRODUCTS_CSV;

    #[test]
    fn the_catalogue_imports_without_a_single_remark() {
        let groups: Vec<_> = import::shopify::read(PRODUCTS_CSV.as_bytes(), 2).unwrap().map(Result::unwrap).collect();
        for group in &groups {
            assert_eq!(group.problems, [], "{}", group.handle);
        }
        let products: Vec<_> = groups.into_iter().filter_map(|g| g.product).collect();
        let categories: BTreeSet<_> = products.iter().filter_map(|p| p.category.as_deref()).collect();
        assert_eq!(categories, BTreeSet::from(["Accessories", "Fabrics", "Ready to wear"]));
        assert!(products.len() >= 14);
        assert!(products.iter().all(|p| p.is_active == Some(true) && !p.images.is_empty()));
        let stock = || products.iter().flat_map(|p| &p.variants).filter_map(|v| v.on_hand);
        assert!(stock().any(|n| n == 0), "something is sold out");
        assert!(stock().any(|n| (1..=3).contains(&n)), "something is nearly sold out");
    }
}
