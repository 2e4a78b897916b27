//! The store for tests is as the others are.

use std::sync::Arc;

use castile::store::shared::Shared;
use castile::store::testing::{Condition, Engine, Link};
use parking_lot::Mutex;

use crate::suite::{LOG_MAX, World};

struct Memory {
    engine: Arc<Engine>,
    links: Mutex<Vec<Arc<Link>>>,
}

impl Memory {
    fn set(&self, condition: Condition) {
        for link in &*self.links.lock() {
            link.set(condition);
        }
    }
}

impl World for Memory {
    fn connect(&self) -> Arc<dyn Shared> {
        let link = self.engine.link();
        self.links.lock().push(link.clone());
        link
    }

    async fn lose(&self) {
        self.engine.lose();
    }

    async fn away(&self) {
        self.set(Condition::Away);
    }

    async fn back(&self) {
        self.set(Condition::Fine);
    }
}

crate::suite!(Some(Memory { engine: Engine::new(LOG_MAX as usize), links: Mutex::default() }));
