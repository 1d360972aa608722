//! The library of pictures: what is taken in, what becomes of it, how it is shown.

use std::path::{Path, PathBuf};

use agape::features::auth::Role;
use futures::future::join_all;
use image::{GenericImageView, ImageFormat};
use serde_json::Value;

use crate::support::pictures::{
    gif, jpeg, jpeg_of_a_camera, moving_webp, picture, png_chunk, png_that_claims, png_with,
};
use crate::support::{Answer, TestApp};

/// A file as browsers send it.
type File<'a> = (&'a str, &'a str, &'a [u8]);

pub async fn send_files(shop: &TestApp, token: &str, files: &[File<'_>]) -> Answer {
    let parts: Vec<_> = files.iter().map(|(name, kind, content)| ("file", *name, *kind, *content)).collect();
    shop.post("/admin/media").token(token).multipart(&parts).send().await
}

/// Takes one picture in and gives it.
pub async fn upload(shop: &TestApp, token: &str, content: &[u8]) -> Value {
    let data = send_files(shop, token, &[("a.jpg", "image/jpeg", content)]).await.expect(201);
    data["assets"][0].clone()
}

/// A file as a browser fetches it: status, type, content.
pub async fn fetch(shop: &TestApp, url: &str) -> (u16, String, Vec<u8>) {
    let answer = shop.http.get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
    (status, kind, answer.bytes().await.unwrap().to_vec())
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The files that the shop keeps.
pub fn kept(shop: &TestApp) -> Vec<PathBuf> {
    files(&shop.data_dir().join("media/files"))
}

fn has(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[tokio::test]
async fn a_picture_is_taken_by_its_content_whatever_its_name() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    for (format, kind, extension) in [
        (ImageFormat::Jpeg, "image/jpeg", "jpg"),
        (ImageFormat::Png, "image/png", "png"),
        (ImageFormat::WebP, "image/webp", "webp"),
        (ImageFormat::Gif, "image/gif", "gif"),
    ] {
        let content = picture(format, 60, 40);
        let answer = send_files(&shop, &token, &[("invoice.pdf.exe", "text/html", &content)]).await;
        let asset = answer.expect(201)["assets"][0].clone();
        assert_eq!((&asset["width"], &asset["height"]), (&60.into(), &40.into()), "{kind}");
        assert_eq!(asset["contentType"], kind);
        let url = asset["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("{}/media/", shop.url)) && url.ends_with(&format!(".{extension}")), "{url}");
        let (status, served, bytes) = fetch(&shop, url).await;
        assert_eq!((status, served.as_str()), (200, kind));
        assert_eq!(asset["bytes"], bytes.len());
        let seen = image::load_from_memory_with_format(&bytes, format).unwrap();
        assert_eq!(seen.dimensions(), (60, 40));
        let (left, right) = (seen.get_pixel(10, 20).0, seen.get_pixel(50, 20).0);
        assert!(left[0] > 180 && left[2] < 70 && right[2] > 180 && right[0] < 70, "{kind}: {left:?} {right:?}");
    }
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 4);
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
    assert_eq!(kept(&shop).len(), 4);
}

#[tokio::test]
async fn what_is_no_picture_is_refused() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let cut = &jpeg(300, 300)[..1_000];
    let half_gif = gif(30, 30, 4);
    let half_gif = half_gif[..half_gif.len() / 2].to_vec();
    let half_webp = picture(ImageFormat::WebP, 300, 300);
    let half_webp = half_webp[..half_webp.len() / 2].to_vec();
    let half = &picture(ImageFormat::Png, 300, 300)[..200];
    let animated_png = png_with(&png_chunk(b"acTL", b"\0\0\0\x01\0\0\0\0"));
    for (name, content) in [
        ("svg", &b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"[..]),
        ("html", b"<!doctype html><script>alert(1)</script>"),
        ("exe", b"MZ\x90\0\x03\0\0\0"),
        ("zip", b"PK\x03\x04\x14\0\0\0"),
        ("pdf", b"%PDF-1.7"),
        ("bmp", b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"),
        ("nothing", b""),
        ("only the mark of a jpeg", b"\xFF\xD8\xFF"),
        ("only the mark of a png", b"\x89PNG\r\n\x1A\n"),
        ("only the mark of a gif", b"GIF89a"),
        ("only the mark of a webp", b"RIFF\x10\0\0\0WEBPVP8 "),
        ("a script that begins as a gif", b"GIF89a/*\0\0\0*/=1;alert(1)"),
        ("half a jpeg", cut),
        ("half a png", half),
        ("half a webp", &half_webp),
        ("half a gif", &half_gif),
        ("a png that moves", &animated_png),
        ("a webp that moves", &moving_webp()),
    ] {
        let answer = send_files(&shop, &token, &[("picture.jpg", "image/jpeg", content)]).await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["file[0]"], "{name}");
    }
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 0);
    assert!(kept(&shop).is_empty());
}

#[tokio::test]
async fn bombs_are_refused() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    // Sixty megapixels of one colour, honestly written in less than one megabyte.
    let mut honest = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(10_000, 6_000).write_to(&mut honest, ImageFormat::Png).unwrap();
    let honest = honest.into_inner();
    assert!(honest.len() < 1_000_000);
    // Each frame is one pixel, but who shows it paints a megapixel a hundred times.
    let many_frames = gif(1_000, 1_000, 100);
    for (name, content) in [
        ("a head that claims 60000 by 60000", &png_that_claims(60_000, 60_000)),
        ("a head that claims the largest", &png_that_claims(0x7FFF_FFFF, 0x7FFF_FFFF)),
        ("a head that claims nothing", &png_that_claims(0, 0)),
        ("too long a side", &picture(ImageFormat::Png, 12_001, 1)),
        ("sixty megapixels", &honest),
        ("too many frames", &many_frames),
        ("a canvas of a gif", &gif(u16::MAX, 1, 1)),
    ] {
        let answer = send_files(&shop, &token, &[("picture.png", "image/png", content)]).await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["file[0]"], "{name}");
    }
    // What is large and no bomb is taken.
    upload(&shop, &token, &picture(ImageFormat::Png, 12_000, 2)).await;
}

#[tokio::test]
async fn what_is_hidden_in_a_picture_is_gone_and_it_stands_upright() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let camera = jpeg_of_a_camera(60, 40);
    assert!(["SecretCamera", "SecretComment", "SecretTail"].iter().all(|secret| has(&camera, secret)));
    let asset = upload(&shop, &token, &camera).await;
    assert_eq!((&asset["width"], &asset["height"]), (&40.into(), &60.into()));
    let (_, _, bytes) = fetch(&shop, asset["url"].as_str().unwrap()).await;
    assert!(!has(&bytes, "Secret") && !has(&bytes, "Exif"));
    // The camera was turned: what it saw at its left is at the top.
    let seen = image::load_from_memory(&bytes).unwrap();
    let (top, bottom) = (seen.get_pixel(20, 10).0, seen.get_pixel(20, 50).0);
    assert!(top[0] > 180 && bottom[2] > 180, "{top:?} {bottom:?}");

    let text = png_with(&png_chunk(b"tEXt", b"Comment\0SecretComment"));
    let tailed = [&text[..], b"<script>SecretTail</script>"].concat();
    let asset = upload(&shop, &token, &tailed).await;
    assert!(!has(&fetch(&shop, asset["url"].as_str().unwrap()).await.2, "Secret"));

    // A GIF goes on moving as before.
    let moving = gif(30, 20, 4);
    assert!(has(&moving, "SecretComment"));
    let asset = upload(&shop, &token, &moving).await;
    let (_, _, bytes) = fetch(&shop, asset["url"].as_str().unwrap()).await;
    assert!(!has(&bytes, "Secret"));
    let mut decoder = gif::Decoder::new(&bytes[..]).unwrap();
    let mut delays = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        delays.push(frame.delay);
    }
    assert_eq!((delays, decoder.repeat()), (vec![7; 4], gif::Repeat::Infinite));
}

#[tokio::test]
async fn uploads_have_limits_and_come_in_whole_or_not_at_all() {
    let shop = TestApp::with(|config| config.media.max_bytes = 100_000).await;
    let token = shop.staff(Role::Merchant).await;
    let good = jpeg(50, 50);
    let large = vec![0xFF; 100_001];
    let answer = send_files(&shop, &token, &[("a", "image/jpeg", &good), ("b", "image/jpeg", &large)]).await;
    answer.expect_error(413, "PAYLOAD_TOO_LARGE");
    // The length that is declared is refused before anything is sent.
    let declared = shop.post("/admin/media").token(&token).header("content-length", "99999999");
    declared.bytes("multipart/form-data; boundary=agape", "").send().await.expect_error(413, "PAYLOAD_TOO_LARGE");

    let eleven: Vec<File<'_>> = (0..11).map(|_| ("a", "image/jpeg", &good[..])).collect();
    assert_eq!(send_files(&shop, &token, &eleven).await.expect_error(400, "VALIDATION_ERROR"), ["file"]);
    // All faults at once.
    let bad = [("a", "", &good[..]), ("b", "", b"nonsense"), ("c", "", &good), ("d", "", b"")];
    assert_eq!(send_files(&shop, &token, &bad).await.expect_error(400, "VALIDATION_ERROR"), ["file[1]", "file[3]"]);
    let parts: [(&str, &str, &str, &[u8]); 2] = [("picture", "a.jpg", "image/jpeg", &good), ("alt", "", "", b"\xFF")];
    let answer = shop.post("/admin/media").token(&token).multipart(&parts).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["picture", "alt", "file"]);
    shop.post("/admin/media").token(&token).raw("{}").send().await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    let torn = "--agape\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc";
    let torn = shop.post("/admin/media").token(&token).bytes("multipart/form-data; boundary=agape", torn);
    torn.send().await.expect_error(400, "VALIDATION_ERROR");

    // Of all these nothing is left.
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 0);
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
    assert!(kept(&shop).is_empty());

    let parts: [(&str, &str, &str, &[u8]); 3] =
        [("file", "a", "", &good), ("alt", "", "", b" Kente "), ("file", "b", "", &good)];
    let data = shop.post("/admin/media").token(&token).multipart(&parts).send().await.expect(201);
    let alts: Vec<_> = data["assets"].as_array().unwrap().iter().map(|asset| asset["alt"].clone()).collect();
    assert_eq!(alts, ["Kente", "Kente"]);
}

#[tokio::test]
async fn sizes_are_made_on_request_and_only_those_that_were_signed() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let asset = upload(&shop, &token, &jpeg(3_000, 1_500)).await;
    for (preset, size) in
        [("thumbnail", (200, 200)), ("card", (400, 500)), ("detail", (1_000, 500)), ("zoom", (2_000, 1_000))]
    {
        let (status, kind, bytes) = fetch(&shop, asset["presets"][preset].as_str().unwrap()).await;
        assert_eq!((status, kind.as_str()), (200, "image/webp"), "{preset}");
        let seen = image::load_from_memory_with_format(&bytes, ImageFormat::WebP).unwrap();
        assert_eq!(seen.dimensions(), size, "{preset}");
        let (left, right) = (seen.get_pixel(5, 5).0, seen.get_pixel(size.0 - 5, 5).0);
        assert!(left[0] > 180 && right[2] > 180, "{preset}: {left:?} {right:?}");
    }
    // A small picture is not enlarged, only cut to the shape.
    let small = upload(&shop, &token, &picture(ImageFormat::Png, 100, 40)).await;
    for (preset, size) in [("thumbnail", (40, 40)), ("card", (32, 40)), ("zoom", (100, 40))] {
        let (_, _, bytes) = fetch(&shop, small["presets"][preset].as_str().unwrap()).await;
        assert_eq!(image::load_from_memory(&bytes).unwrap().dimensions(), size, "{preset}");
    }

    let card = asset["presets"]["card"].as_str().unwrap();
    let other = asset["presets"]["thumbnail"].as_str().unwrap();
    let signature = |url: &str| url.split('/').nth(5).unwrap().to_owned();
    let file = card.rsplit('/').next().unwrap();
    let small_file = small["presets"]["card"].as_str().unwrap().rsplit('/').next().unwrap();
    for wrong in [
        card.replace("fill-400x500", "fill-401x500"),
        card.replace("fill-400x500", "fit-400x500"),
        card.replace("fill-400x500", "fill-4000x4000"),
        card.replace("fill-400x500", "fill-99999x1"),
        card.replace("fill-400x500", "fill-0400x500"),
        card.replace(&signature(card), &signature(other)),
        card.replace(&signature(card), "x"),
        card.replace(&signature(card), &"A".repeat(22)),
        card.replace(file, small_file),
        card.replace(".webp", ".jpg"),
    ] {
        let (status, _, _) = fetch(&shop, &wrong).await;
        assert_eq!(status, 404, "{wrong}");
    }
    // The signature stays good after a restart.
    let card = card.to_owned();
    let shop = shop.restart(|_| {}).await;
    let path = card.split("/media/").nth(1).unwrap();
    assert_eq!(fetch(&shop, &format!("{}/media/{path}", shop.url)).await.0, 200);
}

#[tokio::test]
async fn pictures_are_kept_by_browsers_and_do_nothing_but_show() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let asset = upload(&shop, &token, &jpeg(100, 100)).await;
    for url in [&asset["url"], &asset["presets"]["thumbnail"]].map(|url| url.as_str().unwrap()) {
        let answer = shop.http.get(url).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(header("set-cookie"), "");
        let (tag, length) = (header("etag"), header("content-length"));
        let again = shop.http.get(url).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.bytes().await.unwrap().len()), (304, 0));
        let other = shop.http.get(url).header("if-none-match", "\"other\"").send().await.unwrap();
        assert_eq!(other.status(), 200);
        let head = shop.http.head(url).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, &length[..]));
        assert_eq!(shop.http.post(url).send().await.unwrap().status(), 405);
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let asset = upload(&shop, &token, &jpeg(10, 10)).await;
    let name = asset["url"].as_str().unwrap().rsplit('/').next().unwrap();
    let secret = shop.data_dir().join("keys/media.key");
    assert!(secret.exists());
    for path in [
        "..%2f..%2fkeys%2fmedia.key",
        "%2e%2e%2fkeys%2fmedia.key",
        "..%5ckeys%5cmedia.key",
        "%2fetc%2fpasswd",
        "keys",
        "partial",
        ".",
        "a.jpg",
        "00000000-0000-0000-0000-000000000000.jpg",
        &format!("{name}%00.jpg"),
        &format!("{name}%2f..%2f..%2fkeys%2fmedia.key"),
        &name.to_uppercase(),
        &name.replace(".jpg", ".png"),
    ] {
        let (status, _, bytes) = fetch(&shop, &format!("{}/media/{path}", shop.url)).await;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
        assert!(!has(&bytes, "root:") && has(&bytes, "requestId"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_gets_one_picture() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let asset = upload(&shop, &token, &jpeg(2_000, 2_000)).await;
    let url = asset["presets"]["detail"].as_str().unwrap();
    let answers = join_all((0..40).map(|_| fetch(&shop, url))).await;
    assert!(answers.iter().all(|answer| answer.0 == 200 && answer.2 == answers[0].2));
    assert_eq!(files(&shop.data_dir().join("media/cache")).len(), 1);
    assert!(files(&shop.data_dir().join("media/partial")).is_empty());
}

/// Staff walk through the library with a cursor: the newest first, nothing twice, nothing left out.
#[tokio::test]
async fn the_library_is_walked_with_a_cursor() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    for side in 1..=5 {
        upload(&shop, &token, &jpeg(side * 8, 8)).await;
    }
    let ids = |data: &Value| -> Vec<String> {
        data["assets"].as_array().unwrap().iter().map(|asset| asset["id"].as_str().unwrap().to_owned()).collect()
    };
    let list = async |query: &str| shop.get(&format!("/admin/media?{query}")).token(&token).send().await;
    let whole = ids(&list("").await.expect(200));
    assert_eq!(whole.len(), 5);
    let first = list("limit=2&attached=false").await;
    assert_eq!((&first.body["pagination"]["total"], &first.body["pagination"]["totalPages"]), (&5.into(), &3.into()));
    let mut walked = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = list(&format!("limit=2&attached=false{cursor}")).await;
        let next = answer.body["pagination"]["nextCursor"].as_str().map(str::to_owned);
        walked.extend(ids(&answer.expect(200)));
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, whole);
    assert_eq!(list("cursor=x").await.expect_error(400, "VALIDATION_ERROR"), ["cursor"]);
}
