//! SQL of searches by relevance.

use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Order, push_source};
use crate::features::catalog::listing::{Filter, Key, Matching, Part, Position, Rank, Sort, Stage, Words};
use crate::features::catalog::model::Listed;
use crate::platform::count::{self, COUNTED};

/// How many matches there are, and one of them: its id, popularity and score.
type Scored = (i64, Option<Uuid>, Option<i32>, Option<f64>);

/// A match and its place.
type Hit = (Uuid, Rank);

/// One part of the matches, the best first: see [`Stage`].
pub(super) async fn part(
    c: &mut PgConnection,
    filter: &Filter,
    matching: &Matching,
    limit: i64,
    part: &Part,
) -> sqlx::Result<(Vec<Listed>, Option<Position>)> {
    let wanted = limit + 1;
    let mut hits = match part {
        Part::After(Position { key: Key::Rank(rank), id }) => {
            from_stage(c, filter, matching, wanted, rank.stage, From::Behind(*rank, *id)).await?
        }
        Part::After(_) => Vec::new(),
        Part::Offset(offset) => {
            let from = From::Offset(*offset);
            let (hits, count) = ranked(c, filter, matching, wanted, Stage::All, &from).await?;
            if count <= COUNTED {
                hits
            } else {
                let first = if matches!(matching, Matching::Words(_)) { Stage::Title } else { Stage::All };
                from_stage(c, filter, matching, wanted, first, from).await?
            }
        }
    };
    let more = i64::try_from(hits.len()).is_ok_and(|count| count > limit);
    if more {
        hits.pop();
    }
    let next = hits.last().filter(|_| more).map(|(id, rank)| Position { key: Key::Rank(*rank), id: *id });
    let ids: Vec<Uuid> = hits.into_iter().map(|(id, _)| id).collect();
    let rows = sqlx::query_as(
        "select l.* from unnest($1::uuid[]) with ordinality hit (id, place) join product_listing l on l.id = hit.id
         order by hit.place",
    )
    .bind(ids)
    .fetch_all(c)
    .await?;
    Ok((rows, next))
}

/// Where in a stage a part begins.
#[derive(Clone, Copy, Debug)]
enum From {
    Offset(i64),
    Behind(Rank, Uuid),
}

/// Matches of a stage and, where it does not have enough, of the next one.
async fn from_stage(
    c: &mut PgConnection,
    filter: &Filter,
    matching: &Matching,
    wanted: i64,
    first: Stage,
    mut from: From,
) -> sqlx::Result<Vec<Hit>> {
    let mut hits = Vec::new();
    let mut stage = Some(first);
    while let Some(this) = stage {
        let missing = wanted - i64::try_from(hits.len()).unwrap_or(wanted);
        if missing == 0 {
            break;
        }
        // Behind a product it goes on as it began, so that nothing is met twice, and counts nothing.
        let (is_ranked, offset) = match from {
            From::Behind(rank, _) => (rank.score.is_some(), 0),
            From::Offset(offset) => {
                let total = count::total(c, |query| push_stage(query, filter, matching, this, false)).await?;
                (!total.is_estimate, (offset - total.count).max(0))
            }
        };
        hits.extend(if is_ranked {
            ranked(c, filter, matching, missing, this, &from).await?.0
        } else {
            walked(c, filter, matching, missing, this, &from).await?
        });
        from = From::Offset(offset);
        stage = (this == Stage::Title).then_some(Stage::Rest);
    }
    Ok(hits)
}

/// Matches of a stage by their score, and how many were looked at. Where there are more than [`COUNTED`], none are scored.
async fn ranked(
    c: &mut PgConnection,
    filter: &Filter,
    matching: &Matching,
    limit: i64,
    stage: Stage,
    from: &From,
) -> sqlx::Result<(Vec<Hit>, i64)> {
    // A stage that was begun may have grown meanwhile.
    let most = if matches!(from, From::Behind(..)) { 2 * COUNTED } else { COUNTED };
    let mut query = QueryBuilder::new("with matched as materialized (select p.id, p.popularity, p.title, p.search");
    push_stage(&mut query, filter, matching, stage, false);
    query.push(" limit ").push_bind(most + 1).push("), n as (select count(*) as looked_at from matched), ");
    query.push("scored as (select id, popularity, ");
    push_score(&mut query, matching);
    query.push(" as score from matched p where (select looked_at from n) <= ").push_bind(most);
    query.push(") select looked_at, id, popularity, score from n left join (select * from scored");
    if let From::Behind(rank, id) = from {
        query.push(" where (score, popularity, id) < (").push_bind(rank.score).push("::float8, ");
        query.push_bind(rank.popularity).push(", ").push_bind(*id).push(")");
    }
    query.push(" order by score desc, popularity desc, id desc limit ").push_bind(limit);
    if let From::Offset(offset) = from {
        query.push(" offset ").push_bind(*offset);
    }
    query.push(") s on true order by score desc, popularity desc, id desc");
    let rows: Vec<Scored> = query.build_query_as().fetch_all(c).await?;
    let looked_at = rows.first().map_or(0, |(looked_at, ..)| *looked_at);
    let hit = |(_, id, popularity, score): Scored| Some((id?, Rank { stage, score, popularity: popularity? }));
    Ok((rows.into_iter().filter_map(hit).collect(), looked_at))
}

/// Matches of a stage that has very many, along the index of popularity.
async fn walked(
    c: &mut PgConnection,
    filter: &Filter,
    matching: &Matching,
    limit: i64,
    stage: Stage,
    from: &From,
) -> sqlx::Result<Vec<Hit>> {
    let order = Order::of(Sort::Popular, filter);
    let mut query = QueryBuilder::new("select p.id, p.popularity");
    push_stage(&mut query, filter, matching, stage, true);
    if let From::Behind(rank, id) = from {
        order.push_after(&mut query, &Part::After(Position { key: Key::Rank(*rank), id: *id }));
    }
    order.push_to(&mut query);
    query.push(" limit ").push_bind(limit);
    if let From::Offset(offset) = from {
        query.push(" offset ").push_bind(*offset);
    }
    let rows: Vec<(Uuid, i32)> = query.build_query_as().fetch_all(c).await?;
    Ok(rows.into_iter().map(|(id, popularity)| (id, Rank { stage, score: None, popularity })).collect())
}

/// The products of a stage, ` from … where …`. Whoever walks along an index says so: then the index of the search must not be used,
/// which would be read to its end first.
fn push_stage(query: &mut QueryBuilder<Postgres>, filter: &Filter, matching: &Matching, stage: Stage, walks: bool) {
    let Matching::Words(words) = matching else {
        return push_source(query, filter, Some(matching));
    };
    let has = if walks { "ts_match_vq(p.search, " } else { "(p.search @@ " };
    push_source(query, filter, None);
    match stage {
        Stage::All | Stage::Rest => query.push(" and (").push(has).push_bind(words.query.clone()).push("::tsquery)"),
        Stage::Title => query.push(" and (").push(has).push_bind(words.in_title.clone()).push("::tsquery)"),
    };
    if stage != Stage::Rest && !words.skus.is_empty() {
        query.push(" or p.id = any(").push_bind(words.skus.clone()).push(")");
    }
    query.push(")");
    if stage == Stage::Rest {
        query.push(" and not ").push(has).push_bind(words.in_title.clone()).push("::tsquery)");
        query.push(" and p.id <> all(").push_bind(words.skus.clone()).push(")");
    }
}

/// How well a product matches, as a number that depends on nothing but the product and the words. A sku comes first, then titles with
/// the words in their order, then titles with all words.
fn push_score(query: &mut QueryBuilder<Postgres>, matching: &Matching) {
    match matching {
        Matching::Words(Words { query: words, in_title, phrase, skus }) => {
            query.push("(");
            if !skus.is_empty() {
                query.push("case when p.id = any(").push_bind(skus.clone()).push(") then 8 else 0 end + ");
            }
            query.push("case when p.search @@ ").push_bind(in_title.clone()).push("::tsquery then 2");
            if let Some(phrase) = phrase {
                // The title itself, because its words stand in the search column twice.
                query.push(" + case when ").push("' ' || regexp_replace(fold(p.title), '[^[:alnum:]]+', ' ', 'g')");
                query.push(" like '% ' || regexp_replace(fold(");
                query.push_bind(phrase.clone()).push("), '[^[:alnum:]]+', ' ', 'g') || '%' then 4 else 0 end");
            }
            query.push(" else 0 end + ");
            query.push("ts_rank('{0.02, 0.1, 0.4, 1.0}', p.search, ").push_bind(words.clone()).push("::tsquery)");
            // Of two titles with the word, the one that says less beside it.
            query.push(" * (1 + 1.0 / (1 + length(p.title))))::float8");
        }
        Matching::Alike(text) => {
            query.push("(word_similarity(fold(").push_bind(text.clone());
            // Of two that are as near, the shorter one.
            query.push("), fold(p.title)) + 0.0001 / (1 + length(p.title)))::float8");
        }
    }
}
