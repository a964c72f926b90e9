//! The workers of a managed node, and which ways lead to them (spec: messaging 4.3).

use ockam_node::FlowId;
use ockam_wire::{Address, Protocol};

use crate::managed::{Managed, local};
use crate::noun::flow_control::ConsumerSpec;
use crate::noun::worker::Worker;
use crate::outcome::{Code, Failure};

impl Managed {
    /// All workers, by name.
    pub(crate) fn worker_list(&self) -> Vec<Worker> {
        let name = |address: &Address| String::from_utf8_lossy(address.name()).into_owned();
        let mut names: Vec<String> = self.node.router().addresses().iter().map(name).collect();
        names.sort();
        names.into_iter().map(|addr| Worker { addr }).collect()
    }

    /// Lets what comes in one way reach a worker.
    ///
    /// It is not kept for the next start: ids of ways in are made anew by every process, so it could not be found again.
    pub(crate) fn add_consumer(&self, spec: &ConsumerSpec) -> Result<(), Failure> {
        let id = &spec.flow_control_id.0;
        let flow: FlowId = id.parse().map_err(|error| {
            Failure::new(format!("`{id}` is not a flow control id"))
                .caused_by(&error as &ockam_node::InvalidFlowId)
        })?;
        let [Protocol::Service(name) | Protocol::Worker(name)] = spec.address.protocols() else {
            return Err(Failure::new(format!(
                "`{}` is not the address of a worker of this node",
                spec.address
            ))
            .help("write /service/NAME or /worker/NAME"));
        };
        let router = self.node.router();
        if !router.is_flow(flow) && !self.all_ways_in().contains(&flow) {
            return Err(
                Failure::coded(Code::NotFound, format!("flow control {id} not found")).help(
                    "`ockam node show` has the ids of listeners and connections, \
                     `ockam secure-channel list` those of channels",
                ),
            );
        }
        if router.add_consumer(&local(name)?, flow) {
            Ok(())
        } else {
            Err(
                Failure::coded(Code::NotFound, format!("worker {name} not found"))
                    .help("`ockam worker list` has the workers of the node"),
            )
        }
    }
}
