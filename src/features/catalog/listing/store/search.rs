//! SQL of the search.

use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::features::catalog::listing::{Matching, Search, Words};

/// Words of one search that are corrected.
const CORRECTED: usize = 4;

/// Products that one sku may lead to.
const OF_SKU: i64 = 50;

/// Turns words into queries: each is a stem or the beginning of a word, and all must be there. A text that may be a sku finds the
/// products that have it, too.
pub(in crate::features::catalog::listing) async fn matching(
    c: &mut PgConnection,
    search: &Search,
) -> sqlx::Result<Matching> {
    // Words are quoted after folding, because folding makes colons and apostrophes out of some letters.
    let mut query = QueryBuilder::new("select (");
    push_all(&mut query, &search.words, "");
    query.push(")::text, (");
    push_all(&mut query, &search.words, "A");
    query.push(")::text, array(");
    push_skus(&mut query, search.sku_parts());
    query.push(")");
    let (query, in_title, skus): (String, String, Vec<Uuid>) = query.build_query_as().fetch_one(c).await?;
    let phrase = (search.words.len() > 1).then(|| search.words.join(" "));
    Ok(Matching::Words(Words { query, in_title, phrase, skus }))
}

/// All of the words, each as a stem or a beginning, in the parts of a product that have this weight.
fn push_all(query: &mut QueryBuilder<Postgres>, words: &[String], weight: &str) {
    for (i, word) in words.iter().enumerate() {
        query.push(if i > 0 { " && (" } else { "(" });
        query.push("to_tsquery('english', quote_literal(fold(").push_bind(word.clone());
        query
            .push(")) || ':")
            .push(weight)
            .push("') || to_tsquery('simple', quote_literal(fold(")
            .push_bind(word.clone());
        query.push(")) || ':*").push(weight).push("'))");
    }
}

fn push_skus(query: &mut QueryBuilder<Postgres>, parts: Option<Vec<String>>) {
    let Some(parts) = parts else {
        query.push("select null::uuid where false");
        return;
    };
    query.push("select distinct product_id from variants where archived_at is null and sku_words(sku) @@ to_tsquery('simple', ");
    for (i, part) in parts.into_iter().enumerate() {
        query.push(if i > 0 { " || ' & ' || " } else { "" });
        query.push("quote_literal(fold(").push_bind(part).push(")) || ':*'");
    }
    query.push(") limit ").push_bind(OF_SKU);
}

/// The condition that a product matches.
pub(super) fn push_matching(query: &mut QueryBuilder<Postgres>, matching: &Matching) {
    match matching {
        Matching::Words(Words { query: words, skus, .. }) if skus.is_empty() => {
            query.push(" and p.search @@ ").push_bind(words.clone()).push("::tsquery");
        }
        Matching::Words(Words { query: words, skus, .. }) => {
            query.push(" and (p.search @@ ").push_bind(words.clone()).push("::tsquery or p.id = any(");
            query.push_bind(skus.clone()).push("))");
        }
        Matching::Alike(text) => {
            query.push(" and fold(").push_bind(text.clone()).push(") <% fold(p.title)");
        }
    }
}

/// For each word, the one that was probably meant, if the shop has no word that begins like it: one or two letters wrong,
/// missing, too many or swapped. The first words only: each looks at all that the shop has.
pub(in crate::features::catalog::listing) async fn corrections(
    c: &mut PgConnection,
    words: &[String],
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select coalesce(meant.word, typed.word) as "word!"
           from unnest($1::text[]) with ordinality typed (word, place)
           -- The offset keeps the folding from being done again for each word of the shop.
           cross join lateral (select fold(typed.word) as word, length(fold(typed.word)) as letters offset 0) f
           left join lateral (
             select k.word from search_words k
             where f.letters between 3 and 40 and length(k.word) between f.letters - 2 and f.letters + 2
               and levenshtein_less_equal(k.word, f.word, case when f.letters = 3 then 1 else 2 end)
                   <= case when f.letters = 3 then 1 else 2 end
               and not exists (select from search_words s
                               where s.word ~>=~ f.word and s.word ~<~ (f.word || chr(1114111)))
             order by levenshtein(k.word, f.word) - similarity(k.word, f.word), left(k.word, 1) <> left(f.word, 1), k.word
             limit 1) meant on true
           order by typed.place"#,
        words.get(..CORRECTED).unwrap_or(words),
    )
    .fetch_all(c)
    .await
    .map(|mut meant| {
        meant.extend(words.iter().skip(CORRECTED).cloned());
        meant
    })
}

/// Words of the shop that look like one of these, the likest first.
pub(in crate::features::catalog::listing) async fn alike(
    c: &mut PgConnection,
    words: &[String],
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select word as "word!" from (
             select k.word, max(similarity(k.word, fold(typed.word))) as likeness
             from unnest($1::text[]) typed (word) join search_words k on k.word % fold(typed.word)
             group by k.word) found
           order by likeness desc, word limit 5"#,
        words,
    )
    .fetch_all(c)
    .await
}

/// Words that begin like this one, short ones first.
pub(in crate::features::catalog::listing) async fn completions(
    c: &mut PgConnection,
    word: &str,
    limit: i64,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select word from search_words where word like replace(fold($1), '_', '\\_') || '%'
         order by length(word), word limit $2",
        word,
        limit,
    )
    .fetch_all(c)
    .await
}

/// What was found in a product, between U+E000 and U+E001.
#[derive(Debug)]
pub(in crate::features::catalog::listing) struct Marked {
    pub id: Uuid,
    pub title: String,
    pub text: String,
}

/// Title and the best piece of the texts of these products, with the words of the search marked.
pub(in crate::features::catalog::listing) async fn marked(
    c: &mut PgConnection,
    ids: &[Uuid],
    query: &str,
) -> sqlx::Result<Vec<Marked>> {
    sqlx::query_as!(
        Marked,
        r#"select p.id,
                  ts_headline('shop', p.title, q.q, 'HighlightAll=true, StartSel="' || E'\uE000' || '", StopSel="'
                    || E'\uE001' || '"') as "title!",
                  ts_headline('shop',
                    left(trim(regexp_replace(p.short_description || ' ' || p.description, '\s+', ' ', 'g')), 5000), q.q,
                    'MaxFragments=1, MinWords=8, MaxWords=24, StartSel="' || E'\uE000' || '", StopSel="' || E'\uE001'
                    || '"') as "text!"
           from products p, (select $2::text::tsquery as q) q where p.id = any($1)"#,
        ids,
        query,
    )
    .fetch_all(c)
    .await
}
