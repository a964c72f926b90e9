//! What a node runs of one noun, by name, in the order in which it was asked for.
//!
//! # Invariants
//! A name is held by one thing at a time, also while that thing is being started: it is reserved first, and freed when
//! starting fails. A thing that was restored may be asked for once more (see [`Taken`]), so that what creates a node and
//! all that it runs can be run again after a restart.

use std::sync::{Arc, Mutex, PoisonError};

use crate::outcome::Failure;

/// Things of one noun.
#[derive(Debug)]
pub(crate) struct Registry<T> {
    // Held for one look-up or insertion; it makes looking and reserving one step.
    slots: Mutex<Vec<Slot<T>>>,
}

#[derive(Debug)]
struct Slot<T> {
    name: String,
    thing: Option<Arc<T>>,
    made: Made,
}

/// How a thing came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// It was asked for in this process.
    Asked,
    /// It was asked for in an earlier life of the node, and not yet again.
    Restored,
}

/// The name is held.
#[derive(Debug)]
pub(crate) enum Taken<T> {
    /// By something that was asked for, or is being started.
    Held,
    /// By something restored. From now on it counts as asked for.
    Restored(Arc<T>),
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
        }
    }
}

impl<T> Registry<T> {
    /// Reserves a name.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        name: &str,
        made: Made,
    ) -> Result<Reservation<T>, Taken<T>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.iter_mut().find(|slot| slot.name == name) {
            return Err(match (&slot.thing, slot.made) {
                (Some(thing), Made::Restored) => {
                    slot.made = Made::Asked;
                    Taken::Restored(thing.clone())
                }
                _ => Taken::Held,
            });
        }
        slots.push(Slot {
            name: name.to_owned(),
            thing: None,
            made,
        });
        Ok(Reservation {
            registry: self.clone(),
            name: name.to_owned(),
            filled: false,
        })
    }

    /// The thing of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<T>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots
            .iter()
            .find(|slot| slot.name == name)
            .and_then(|slot| slot.thing.clone())
    }

    /// Whether the name is held, also by something that is being started.
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().any(|slot| slot.name == name)
    }

    /// Whether the name is held by something that was restored and not asked for again yet.
    pub(crate) fn is_restored(&self, name: &str) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots
            .iter()
            .any(|slot| slot.name == name && slot.thing.is_some() && slot.made == Made::Restored)
    }

    /// All things.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(|slot| slot.thing.clone()).collect()
    }

    /// Takes a thing out.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<T>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let index = slots
            .iter()
            .position(|slot| slot.name == name && slot.thing.is_some())?;
        slots.remove(index).thing
    }
}

/// A name for something that is being started. Dropping it frees the name.
#[derive(Debug)]
pub(crate) struct Reservation<T> {
    registry: Arc<Registry<T>>,
    name: String,
    filled: bool,
}

impl<T> Reservation<T> {
    /// Puts the thing in its place.
    ///
    /// # Errors
    /// The place is gone, which would be a defect.
    pub(crate) fn fill(mut self, thing: T) -> Result<Arc<T>, Failure> {
        let thing = Arc::new(thing);
        let mut slots = self
            .registry
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let slot = slots
            .iter_mut()
            .find(|slot| slot.name == self.name)
            .ok_or_else(|| Failure::new(format!("{} was removed while it started", self.name)))?;
        slot.thing = Some(thing.clone());
        drop(slots);
        self.filled = true;
        Ok(thing)
    }
}

impl<T> Drop for Reservation<T> {
    fn drop(&mut self) {
        if !self.filled {
            let mut slots = self
                .registry
                .slots
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            slots.retain(|slot| slot.name != self.name || slot.thing.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_while_its_thing_starts_and_freed_when_that_fails() {
        let registry = Arc::new(Registry::<u8>::default());
        let first = registry.reserve("a", Made::Asked).expect("it is free");
        assert!(matches!(
            registry.reserve("a", Made::Asked),
            Err(Taken::Held)
        ));
        drop(first);
        let again = registry
            .reserve("a", Made::Asked)
            .expect("it is free again");
        again.fill(1).expect("its place is there");
        assert_eq!(registry.find("a").as_deref(), Some(&1));
        assert!(matches!(
            registry.reserve("a", Made::Asked),
            Err(Taken::Held)
        ));
        assert_eq!(registry.remove("a").as_deref(), Some(&1));
        assert!(!registry.is_taken("a"));
    }

    #[test]
    fn something_restored_may_be_asked_for_once_more() {
        let registry = Arc::new(Registry::<u8>::default());
        registry
            .reserve("a", Made::Restored)
            .expect("it is free")
            .fill(1)
            .expect("its place is there");
        assert!(matches!(
            registry.reserve("a", Made::Asked),
            Err(Taken::Restored(_))
        ));
        assert!(matches!(
            registry.reserve("a", Made::Asked),
            Err(Taken::Held)
        ));
    }
}
