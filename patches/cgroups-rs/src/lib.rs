//! What Qdrant's engine asks of `cgroups-rs`, for a process that is in no control group.
//!
//! The engine puts the free memory into the text of one error and takes it from the system
//! where there is no control group. The crate itself brings a client of D-Bus and fifty more crates.

pub mod fs {
    /// A control group without controllers.
    #[derive(Debug)]
    pub struct Cgroup;

    impl Cgroup {
        /// The same for every path.
        #[must_use]
        pub fn load(_: hierarchies::Hierarchy, _: &str) -> Self {
            Self
        }

        /// There is none.
        #[must_use]
        pub fn controller_of<T>(&self) -> Option<&T> {
            None
        }
    }

    pub mod hierarchies {
        /// Of control groups, of which nothing is known.
        #[derive(Debug)]
        pub struct Hierarchy;

        /// The only one.
        #[must_use]
        pub fn auto() -> Hierarchy {
            Hierarchy
        }
    }

    pub mod memory {
        /// The controller of the memory, which no [`Cgroup`](super::Cgroup) here has.
        #[derive(Clone, Debug)]
        pub enum MemController {}

        /// What a controller tells.
        #[derive(Debug)]
        pub struct Memory {
            /// Bytes that may be used.
            pub limit_in_bytes: i64,
            /// Bytes that are used.
            pub usage_in_bytes: u64,
        }

        impl MemController {
            /// What the controller tells.
            #[must_use]
            pub fn memory_stat(&self) -> Memory {
                match *self {}
            }
        }
    }
}
