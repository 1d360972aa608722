//! Lets those who want the same thing at the same time wait for one of them to get it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

type Loading<T> = BoxFuture<'static, T>;

/// The loads under way, and how many there have been. Each has its number.
struct List<T: Clone> {
    loads: HashMap<String, (u64, WeakShared<Loading<T>>)>,
    last: u64,
}

/// What is being loaded now, by name.
///
/// Whoever comes first begins to load, and all who wait drive it on together, so that it does not matter who of them goes away.
/// When all have, it is dropped.
#[derive(Clone)]
pub struct Flights<T: Clone>(Arc<Mutex<List<T>>>);

impl<T: Clone> std::fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<T: Clone> Default for Flights<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(List { loads: HashMap::new(), last: 0 })))
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Loads `name`, or waits for somebody who does. What another one has begun to load may be too old for this caller:
    /// `suits` says, and then it is loaded again.
    pub async fn join(&self, name: &str, suits: impl Fn(&T) -> bool, load: impl Fn() -> Loading<T>) -> T {
        loop {
            let (loading, is_mine) = self.board(name, &load);
            let value = loading.await;
            if is_mine || suits(&value) {
                return value;
            }
        }
    }

    fn board(&self, name: &str, load: impl Fn() -> Loading<T>) -> (Shared<Loading<T>>, bool) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loading) = list.loads.get(name).and_then(|(_, loading)| loading.upgrade()) {
            return (loading, false);
        }
        list.last += 1;
        let number = list.last;
        let end = End { list: Arc::clone(&self.0), name: name.to_owned(), number };
        let load = load();
        let loading = async move {
            let _end = end;
            load.await
        };
        let loading = loading.boxed().shared();
        if let Some(weak) = loading.downgrade() {
            list.loads.insert(name.to_owned(), (number, weak));
        }
        (loading, true)
    }
}

/// Takes a load off the list when it is over, however it ends.
struct End<T: Clone> {
    list: Arc<Mutex<List<T>>>,
    name: String,
    number: u64,
}

impl<T: Clone> Drop for End<T> {
    fn drop(&mut self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.loads.get(&self.name).is_some_and(|(number, _)| *number == self.number) {
            list.loads.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, Semaphore};

    use super::*;

    /// Something that takes as long as the test wants.
    struct Slow {
        begun: Arc<AtomicUsize>,
        began: Arc<Notify>,
        may_end: Arc<Semaphore>,
    }

    impl Slow {
        fn new() -> Self {
            Self { begun: Arc::default(), began: Arc::default(), may_end: Arc::new(Semaphore::new(0)) }
        }

        fn load(&self) -> BoxFuture<'static, usize> {
            let (begun, began, may_end) = (self.begun.clone(), self.began.clone(), self.may_end.clone());
            async move {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                began.notify_one();
                may_end.acquire().await.unwrap().forget();
                number
            }
            .boxed()
        }
    }

    #[tokio::test]
    async fn those_who_come_together_load_once() {
        let (flights, slow) = (Flights::default(), Slow::new());
        let all = futures::future::join_all((0..200).map(|_| flights.join("kente", |_| true, || slow.load())));
        let (all, ()) = tokio::join!(all, async { slow.may_end.add_permits(1) });
        assert_eq!(all, vec![1; 200]);
        slow.may_end.add_permits(1);
        assert_eq!(flights.join("kente", |_| true, || slow.load()).await, 2);
        assert!(flights.0.lock().unwrap().loads.is_empty());
    }

    #[tokio::test]
    async fn names_do_not_wait_for_each_other() {
        let (flights, slow) = (Flights::default(), Slow::new());
        slow.may_end.add_permits(2);
        let (kente, adire) = tokio::join!(
            flights.join("kente", |_| true, || slow.load()),
            flights.join("adire", |_| true, || slow.load())
        );
        assert_eq!((kente, adire), (1, 2));
    }

    #[tokio::test]
    async fn what_was_begun_too_early_is_loaded_again() {
        let (flights, slow) = (Flights::default(), Slow::new());
        let first = flights.join("kente", |_| true, || slow.load());
        let late = flights.join("kente", |number| *number > 1, || slow.load());
        let (first, late, ()) = tokio::join!(first, late, async { slow.may_end.add_permits(2) });
        assert_eq!((first, late), (1, 2));
    }

    #[tokio::test]
    async fn the_others_go_on_when_the_first_goes_away() {
        let (flights, slow) = (Flights::default(), Arc::new(Slow::new()));
        let spawn = || {
            let (flights, slow) = (flights.clone(), slow.clone());
            tokio::spawn(async move { flights.join("kente", |_| true, || slow.load()).await })
        };
        let first = spawn();
        slow.began.notified().await;
        let second = spawn();
        tokio::task::yield_now().await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        slow.may_end.add_permits(1);
        assert_eq!(second.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_load_that_all_have_left_is_given_up() {
        let (flights, slow) = (Flights::default(), Arc::new(Slow::new()));
        let left = {
            let (flights, slow) = (flights.clone(), slow.clone());
            tokio::spawn(async move { flights.join("kente", |_| true, || slow.load()).await })
        };
        slow.began.notified().await;
        left.abort();
        assert!(left.await.unwrap_err().is_cancelled());
        assert!(flights.0.lock().unwrap().loads.is_empty());
        slow.may_end.add_permits(1);
        assert_eq!(flights.join("kente", |_| true, || slow.load()).await, 2);
    }
}
