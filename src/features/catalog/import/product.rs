//! A product's rows, all taken in, become the product: what its first row
//! says about the whole, its variants under their options, its pictures in
//! order.

use std::collections::HashSet;
use std::io::Read;

use super::checks::{distinct, line, shorten, some};
use super::group::{Group, OPTIONS};
use super::model::{
    FileColumns, ImportedCategory, ImportedMeasures, ImportedOption, ImportedProduct, ProductGroup, Severity,
};
use super::shopify_columns::Field;
use super::table::Row;
use super::{html, text};

impl<R: Read> Group<'_, R> {
    /// The finished product, or what is wrong with it.
    pub(super) fn finish(mut self, first: &Row<Field>) -> ProductGroup {
        self.check_handle(first);
        if self.title.is_empty() && !self.broken {
            self.error(
                self.first_row,
                Some(Field::Title),
                "The product has no title. Write it in the product's first row.",
            );
        }
        self.name_options();
        self.refuse_repeated_variants();
        let mut product = self.product(first);
        // The cells of a row that cannot be read may be what is missing.
        if let Some(product) = product.as_mut().filter(|_| !self.broken) {
            self.file.checks.finish(product);
        }
        let problems = self.file.checks.take_problems();
        let refused = problems.iter().any(|p| p.severity == Severity::Error);
        ProductGroup {
            row: self.first_row,
            handle: self.handle,
            title: some(self.title),
            product: product.filter(|_| !refused),
            problems,
        }
    }

    fn check_handle(&mut self, first: &Row<Field>) {
        let field = Some(Field::Handle);
        let written = first.get(Field::Handle);
        if !self.handle.is_empty() && written != self.handle {
            let message = format!(
                "“{}” cannot be an address; the product's handle becomes “{}”.",
                shorten(written),
                shorten(&self.handle)
            );
            self.warn(self.first_row, field, message);
        }
    }

    /// Puts each variant's values under the names of the product's options.
    fn name_options(&mut self) {
        let names = std::mem::take(&mut self.option_names);
        let mut drafts = std::mem::take(&mut self.drafts);
        if let [only] = drafts.as_mut_slice() {
            // How Shopify writes a product that has no options.
            let [name, ..] = &names;
            let [value, second, third] = &only.values;
            if name.eq_ignore_ascii_case("title")
                && value.eq_ignore_ascii_case("default title")
                && second.is_empty()
                && third.is_empty()
            {
                self.drafts = drafts;
                return;
            }
        }
        let mut used = HashSet::new();
        for (name, (field, _)) in names.iter().zip(OPTIONS) {
            if !name.is_empty() && !used.insert(name.to_lowercase()) {
                let message = format!("Two options are called “{}”.", shorten(name));
                self.error(self.first_row, Some(field), message);
            }
        }
        for draft in &mut drafts {
            let values = std::mem::take(&mut draft.values);
            let row = draft.variant.row;
            for ((name, value), (name_field, value_field)) in names.iter().zip(values).zip(OPTIONS) {
                if name.is_empty() && !value.is_empty() {
                    let message = format!(
                        "The product's first row does not say what “{}” is: \
                         the option has no name.",
                        shorten(&value)
                    );
                    self.error(row, Some(name_field), message);
                } else if value.is_empty() && !name.is_empty() {
                    let message = format!("The variant has no value for “{}”.", shorten(name));
                    self.error(row, Some(value_field), message);
                } else if !name.is_empty() {
                    draft.variant.options.push(ImportedOption { name: name.clone(), value });
                }
            }
        }
        self.drafts = drafts;
    }

    fn refuse_repeated_variants(&mut self) {
        let mut met: HashSet<Vec<String>> = HashSet::new();
        let mut repeated = Vec::new();
        for draft in &self.drafts {
            let options = &draft.variant.options;
            let values = options.iter().map(|option| option.value.to_lowercase());
            // Without options there is one variant at most, which is a rule of its own.
            if !met.insert(values.collect()) && !options.is_empty() {
                let shown: Vec<_> = options.iter().map(|o| shorten(&o.value)).collect();
                repeated.push((draft.variant.row, shown.join(" / ")));
            }
        }
        for (row, shown) in repeated {
            let message = format!("The product already has a variant “{shown}” further up.");
            self.error(row, Some(Field::OptionValue1), message);
        }
    }

    fn product(&mut self, first: &Row<Field>) -> Option<ImportedProduct> {
        let category_path: Vec<String> =
            first.get(Field::ProductCategory).split('>').map(text::line).filter(|part| !part.is_empty()).collect();
        let kind = line(first, Field::Type);
        let category = kind.or_else(|| category_path.last().cloned());
        let mut images = std::mem::take(&mut self.images);
        images.sort_by_key(|image| image.position);
        for (image, position) in images.iter_mut().zip(1..) {
            image.position = position;
        }
        let is_active = self.is_active(first);
        let checks = &mut self.file.checks;
        let measures = [Field::Width, Field::Length, Field::DimensionUnit].into_iter().any(|field| checks.has(field));
        Some(ImportedProduct {
            row: self.first_row,
            key: Some(self.handle.clone()),
            sku: None,
            handle: self.handle.clone(),
            title: self.title.clone(),
            description: checks.said(Field::Body, || html::to_text(first.get(Field::Body))),
            vendor: checks.said(Field::Vendor, || text::line(first.get(Field::Vendor))),
            category_tree: category.iter().map(|name| ImportedCategory { name: name.clone(), slug: None }).collect(),
            is_without_category: false,
            category,
            category_path,
            tags: checks.said(Field::Tags, || distinct(first.get(Field::Tags).split(',').map(text::line))),
            is_active,
            restores: false,
            images,
            variants: std::mem::take(&mut self.drafts).into_iter().map(|draft| draft.variant).collect(),
            columns: FileColumns {
                compare_at: checks.has(Field::CompareAt),
                barcode: checks.has(Field::Barcode),
                weight: checks.has(Field::Grams),
                variant_image: checks.has(Field::VariantImage),
                images: checks.has(Field::ImageUrl),
            },
            weave_origin: checks.said(Field::WeaveOrigin, || text::line(first.get(Field::WeaveOrigin))),
            care_instructions: checks.said(Field::Care, || html::to_text(first.get(Field::Care))),
            dispatch_time: checks.said(Field::Dispatch, || text::line(first.get(Field::Dispatch))),
            short_description: checks.said(Field::Short, || html::to_text(first.get(Field::Short))),
            featured: checks.flag(first, Field::Featured),
            limited: checks.flag(first, Field::Limited),
            measures: measures.then(|| ImportedMeasures {
                width: checks.length(first, Field::Width),
                length: checks.length(first, Field::Length),
                unit: text::line(first.get(Field::DimensionUnit)),
            }),
            full_story: None,
            currency: None,
            prices: None,
            metadata: None,
        })
        .filter(|product| !product.variants.is_empty())
    }

    /// Published, and neither a draft nor archived. An empty cell leaves the
    /// product on sale, as it does in Shopify.
    fn is_active(&mut self, row: &Row<Field>) -> Option<bool> {
        if self.file.checks.truth(row, Field::GiftCard) == Some(true) {
            self.warn(
                row.number,
                Some(Field::GiftCard),
                "This is a gift card, which the shop cannot issue. It is imported unpublished.",
            );
            return Some(false);
        }
        if !self.file.checks.has(Field::Published) && !self.file.checks.has(Field::Status) {
            return None;
        }
        let published = match self.file.checks.truth(row, Field::Published) {
            Some(published) => published,
            None => row.get(Field::Published).is_empty(),
        };
        let status = row.get(Field::Status);
        let on_sale = match status.to_ascii_lowercase().as_str() {
            "" | "active" => true,
            "draft" | "archived" | "unlisted" => false,
            _ => {
                let message =
                    format!("“{}” is not a known status; the product is imported unpublished.", shorten(status));
                self.warn(row.number, Some(Field::Status), message);
                false
            }
        };
        Some(published && on_sale)
    }
}
