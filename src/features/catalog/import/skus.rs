//! Article numbers of products and variants, made where a file has none.

use std::collections::HashMap;

use super::model::ImportedProduct;
use crate::platform::crypto::sha256;
use crate::platform::text::slugify;

/// The article number of a new product.
pub(in crate::features::catalog) fn of_product(product: &ImportedProduct) -> String {
    product.sku.clone().unwrap_or_else(|| as_sku(&product.handle))
}

/// The sku of each variant. Those without one in the file get one of the handle and the options' values; where two
/// values have the same letters a-z, or none, a hash of the values tells them apart.
pub(in crate::features::catalog) fn of_variants(product: &ImportedProduct) -> Vec<String> {
    let made: Vec<Option<String>> = product
        .variants
        .iter()
        .map(|variant| {
            let values = variant.options.iter().map(|o| slugify(&o.value)).collect::<Vec<_>>().join("-");
            variant.sku.is_none().then(|| as_sku(format!("{}-{values}", product.handle).trim_end_matches('-')))
        })
        .collect();
    let mut uses: HashMap<&str, u32> = HashMap::new();
    for (variant, made) in product.variants.iter().zip(&made) {
        if let Some(sku) = variant.sku.as_deref().or(made.as_deref()) {
            *uses.entry(sku).or_default() += 1;
        }
    }
    made.iter()
        .zip(&product.variants)
        .map(|(made, variant)| match (&variant.sku, made) {
            (Some(sku), _) => sku.clone(),
            (None, Some(made)) if uses.get(made.as_str()) == Some(&1) => made.clone(),
            _ => {
                let values: Vec<&str> = variant.options.iter().map(|o| o.value.as_str()).collect();
                let hash = hex::encode(&sha256(values.join("\0").as_bytes())[..6]);
                as_sku(&format!("{}-{hash}", product.handle))
            }
        })
        .collect()
}

/// A name of `a-z`, `0-9` and `-` as a sku. Long names are cut and told apart by a hash.
fn as_sku(name: &str) -> String {
    let name = name.to_uppercase();
    if name.chars().count() <= 64 {
        return name;
    }
    let start: String = name.chars().take(51).collect();
    format!("{start}-{}", hex::encode(&sha256(name.as_bytes())[..6]))
}
