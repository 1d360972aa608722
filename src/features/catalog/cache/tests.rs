use axum::http::HeaderValue;
use bytes::Bytes;

use super::*;

fn cache(products: u64) -> ProductCache {
    let config = Config { products, product_seconds: 60, list_bytes: 0 };
    ProductCache::new(&config, None, Signals::unheard(), Hearing::always())
}

fn product(id: ProductId, slug: &str) -> CachedProduct {
    let etag = HeaderValue::from_static("W/\"1\"");
    CachedProduct { id, slug: slug.into(), body: Bytes::from_static(b"{\n}"), etag, rest: None }
}

/// Reads the product from a database that has it under this slug, and counts.
async fn read(cache: &ProductCache, name: &str, found: Option<CachedProduct>) -> (bool, u64) {
    let before = cache.reads();
    let got = cache.get(name, || std::future::ready(Ok(found.clone())).boxed()).await.unwrap();
    (got.is_some(), cache.reads() - before)
}

#[tokio::test]
async fn both_names_find_a_product_until_it_is_forgotten() {
    let (cache, id) = (cache(10), ProductId::new());
    assert_eq!(read(&cache, "kente", Some(product(id, "kente"))).await, (true, 1));
    for name in ["kente", &id.to_string()] {
        assert_eq!(read(&cache, name, None).await, (true, 0));
    }
    cache.forget(&[id]).await;
    for name in ["kente", &id.to_string()] {
        assert_eq!(read(&cache, name, None).await, (false, 1));
    }
}

#[tokio::test]
async fn a_slug_that_was_given_up_finds_nothing() {
    let (cache, id) = (cache(10), ProductId::new());
    read(&cache, "kente", Some(product(id, "kente"))).await;
    cache.forget(&[id]).await;
    read(&cache, "kente-cloth", Some(product(id, "kente-cloth"))).await;
    assert_eq!(read(&cache, "kente", None).await, (false, 1));
    assert_eq!(read(&cache, "kente-cloth", None).await, (true, 0));
}

#[tokio::test]
async fn what_was_read_before_a_write_is_not_kept() {
    let (cache, id) = (cache(10), ProductId::new());
    let slow = || {
        let cache = cache.clone();
        async move {
            cache.forget(&[id]).await;
            Ok(Some(product(id, "kente")))
        }
        .boxed()
    };
    assert!(cache.get("kente", slow).await.unwrap().is_some());
    assert_eq!(read(&cache, "kente", None).await, (false, 1));
}

#[tokio::test]
async fn who_comes_after_a_write_does_not_take_what_was_begun_before_it() {
    let (cache, id) = (cache(10), ProductId::new());
    let (answer, question) = tokio::sync::oneshot::channel::<()>();
    let question = Arc::new(tokio::sync::Mutex::new(Some(question)));
    let slow = || {
        let question = question.clone();
        async move {
            let question = question.lock().await.take();
            if let Some(question) = question {
                question.await.unwrap();
            }
            Ok(Some(product(id, "old")))
        }
        .boxed()
    };
    let name = id.to_string();
    let early = cache.get(&name, slow);
    let late = async {
        cache.forget(&[id]).await;
        let late = cache.get(&name, || std::future::ready(Ok(Some(product(id, "new")))).boxed());
        // He waits for the early one first, as he cannot know yet what it brings.
        let (late, ()) = tokio::join!(late, async { answer.send(()).unwrap() });
        late
    };
    let (early, late) = tokio::join!(early, late);
    assert_eq!(&*early.unwrap().unwrap().slug, "old");
    assert_eq!(&*late.unwrap().unwrap().slug, "new");
    assert_eq!(cache.reads(), 2);
}

#[tokio::test]
async fn nothing_is_kept_without_room_or_hearing() {
    let id = ProductId::new();
    let deaf = ProductCache { hearing: Hearing::default(), ..cache(10) };
    for cache in [cache(0), deaf] {
        for _ in 0..2 {
            assert_eq!(read(&cache, "kente", Some(product(id, "kente"))).await, (true, 1));
        }
    }
}

#[test]
fn redis_gives_a_product_back_as_it_was() {
    let (id, rest) = (ProductId::new(), Duration::from_secs(1));
    let kente = product(id, "kente");
    let back = CachedProduct::decode(id, &kente.encode(), rest).unwrap();
    assert_eq!(back, CachedProduct { rest: Some(rest), ..kente });
    assert_eq!(CachedProduct::decode(id, b"kente", rest), None);
}
