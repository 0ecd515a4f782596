"""The life of a batch, as its status tells it: state in, reconcile, state out."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from confidential_summarizer.reconcile.batch import PROGRESS_SECONDS
from confidential_summarizer.reconcile.run import Reconciler, Result, Visit
from confidential_summarizer.release import build
from confidential_summarizer.targets.virtual_node.target import VirtualNodeTarget
from tests.support.fakes import everywhere
from tests.support.resources import ATTESTATION
from tests.unit.reconcile.test_reconcile import ATTESTED, World
from tests.unit.targets.test_batch import DOCUMENTS, PARTS


class Cluster(World):
    """A cluster whose Job controller is the test."""

    def reconciler(self) -> Reconciler:
        ordinary = super().reconciler()
        return replace(ordinary, clients=replace(ordinary.clients, targets=everywhere(VirtualNodeTarget(self.kube))))

    def edit(self, *, batch: dict[str, Any], **changes: Any) -> None:
        super().edit(fileSystems=DOCUMENTS, batch={"shards": 2, "parallelism": 2, **batch}, **changes)

    @property
    def job(self) -> Any:
        return self.kube.objects["Job", "legal", "contracts"]

    @property
    def batch(self) -> Any:
        return self.resource["status"]["batch"]

    def pod(self, index: int, *, ready: bool = True) -> None:
        """Let a shard's pod run."""
        name = f"contracts-{index}-abcde"
        template = self.job["spec"]["template"]["metadata"]
        annotations = template["annotations"] | {"batch.kubernetes.io/job-completion-index": str(index)}
        owner = {"kind": "Job", "name": "contracts", "uid": "job-1", "controller": True}
        status = {
            "phase": "Running",
            "podIP": f"10.0.0.{index + 1}",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        }
        metadata = {"name": name, "namespace": "legal", "uid": name, "labels": template["labels"]}
        metadata |= {"annotations": annotations, "ownerReferences": [owner]}
        self.kube.put({"kind": "Pod", "metadata": metadata, "spec": {}, "status": status})

    def ends(self, index: int) -> None:
        del self.kube.objects["Pod", "legal", f"contracts-{index}-abcde"]

    def says(self, index: int, done: int, *, per_minute: float = 30.0, **shard: Any) -> None:
        """Let a shard's group say how far it is."""
        counts = {"index": index, "shards": 2, "total": 100, "documents": 50, "done": done, "refused": 0, "failed": 0}
        self.pages.answers[f"10.0.0.{index + 1}:8501"] = {
            "state": "Summarizing",
            "shard": {**counts, "perMinute": per_minute, **shard},
        }


async def begun(fileSystems: list[Any] = DOCUMENTS, **batch: Any) -> Cluster:  # noqa: N803 - as the spec has it
    """Return a cluster in which the Job of a batch was made."""
    cluster = Cluster()
    cluster.given(fileSystems=fileSystems, batch={"shards": 2, "parallelism": 2, **batch})
    await cluster.reconcile()
    for one in fileSystems:
        cluster.vault.add(one["key"]["name"], build([cluster.host_data()], [ATTESTATION]))
    cluster.pages.evidence_for = lambda nonce: ATTESTED.evidence(nonce, cluster.host_data())
    await cluster.reconcile()
    return cluster


async def complete(cluster: Cluster) -> Visit:
    cluster.job["status"] = {"completedIndexes": "0-1", "conditions": [{"type": "Complete", "status": "True"}]}
    return await cluster.visit()


async def test_a_batch_is_ready_once_its_shards_work_and_prove_what_they_are() -> None:
    cluster = await begun()
    assert (cluster.reason(), cluster.condition("Ready")["message"]) == (
        "RollingOut",
        "0 of 2 ready: applies Job contracts",
    )
    cluster.pod(0)
    cluster.says(0, 10)
    assert await cluster.reconcile() == PROGRESS_SECONDS
    assert (cluster.condition("Ready")["status"], cluster.reason()) == ("True", "Running")
    assert cluster.condition("Attested")["status"] == "True"
    assert cluster.condition("Complete") is None


async def test_progress_rate_and_end_are_what_the_groups_say_together() -> None:
    cluster = await begun()
    cluster.pod(0)
    cluster.pod(1)
    cluster.says(0, 10, refused=2)
    cluster.says(1, 20, failed=1)
    await cluster.reconcile()
    assert (cluster.batch["documents"], cluster.batch["shards"], cluster.batch["perMinute"]) == ("30/100", "0/2", 60.0)
    assert (cluster.batch["refused"], cluster.batch["failed"]) == (2, 1)
    assert cluster.batch["estimatedCompletionTime"] == "2026-11-24T12:01:09Z"  # 69 left, one a second


async def test_of_shards_by_file_system_the_whole_is_the_sum_and_has_no_end_in_sight_until_each_has_told() -> None:
    cluster = await begun(fileSystems=PARTS[:2], shardBy="FileSystem")
    cluster.pod(0)
    await cluster.reconcile()
    assert "documents" not in cluster.batch
    cluster.says(0, 10, total=40, documents=40)
    await cluster.reconcile()
    assert cluster.batch["documents"] == "10/40+"
    assert "estimatedCompletionTime" not in cluster.batch
    cluster.pages.answers.clear()
    await cluster.reconcile()
    assert cluster.batch["documents"] == "10/40+"
    cluster.says(0, 10, total=40, documents=40)
    cluster.pod(1)
    cluster.says(1, 20, total=50, documents=50)
    await cluster.reconcile()
    assert cluster.batch["documents"] == "30/90"
    assert cluster.batch["estimatedCompletionTime"] == "2026-11-24T12:01:00Z"
    cluster.ends(0)
    cluster.ends(1)
    await complete(cluster)
    assert (cluster.batch["documents"], cluster.batch["shards"]) == ("90/90", "2/2")


async def test_what_a_shard_said_before_its_end_stays_counted() -> None:
    cluster = await begun()
    cluster.pod(0)
    cluster.pod(1)
    cluster.says(0, 49)
    cluster.says(1, 20)
    await cluster.reconcile()
    cluster.ends(0)
    cluster.job["status"] = {"completedIndexes": "0"}
    await cluster.reconcile()
    assert (cluster.batch["documents"], cluster.batch["shards"]) == ("70/100", "1/2")
    assert cluster.reason() == "Running"


async def test_numbers_that_cannot_be_are_not_believed() -> None:
    cluster = await begun()
    cluster.pod(0)
    lies: list[dict[str, Any]] = [
        {"index": 1}, {"total": -1}, {"done": 10**12}, {"documents": "many"}, {"shards": 3},
    ]  # fmt: skip
    for lie in lies:
        cluster.says(0, 10)
        cluster.pages.answers["10.0.0.1:8501"]["shard"].update(lie)
        await cluster.reconcile()
        assert "documents" not in cluster.batch
    cluster.says(0, 10, perMinute=1e-300)
    await cluster.reconcile()
    assert cluster.batch["documents"] == "10/100"
    assert "estimatedCompletionTime" not in cluster.batch


async def test_a_batch_that_is_done_is_complete_and_nothing_is_looked_at_any_more() -> None:
    cluster = await begun()
    cluster.pod(0)
    cluster.says(0, 50)
    await cluster.reconcile()
    cluster.ends(0)
    assert (await complete(cluster)).result is Result.DONE
    assert cluster.condition("Complete")["status"] == "True"
    assert (cluster.condition("Ready")["status"], cluster.reason()) == ("True", "Completed")
    assert cluster.resource["status"]["trust"]["attestation"]["groups"]
    del cluster.kube.objects["Job", "legal", "contracts"]
    cluster.kube.writes.clear()
    assert (await cluster.visit()).result is Result.DONE
    assert cluster.kube.writes == []
    assert cluster.condition("Complete")["status"] == "True"


async def test_a_batch_that_ended_before_anybody_saw_it_work_is_complete_all_the_same() -> None:
    cluster = await begun()
    assert (await complete(cluster)).result is Result.DONE
    assert (cluster.condition("Ready")["status"], cluster.condition("Complete")["status"]) == ("True", "True")


async def test_shards_that_failed_too_often_make_it_failed_and_a_higher_limit_lets_it_go_on() -> None:
    cluster = await begun()
    failed = {"type": "Failed", "status": "True", "message": "Job has failed indexes"}
    cluster.job["status"] = {"completedIndexes": "0", "failedIndexes": "1", "conditions": [failed]}
    assert (await cluster.visit()).result is Result.STALLED
    assert (cluster.condition("Failed")["status"], cluster.reason("Stalled")) == ("True", "ShardsFailed")
    assert "1 of 2 shards failed" in cluster.condition("Ready")["message"]
    assert cluster.batch["failedIndexes"] == "1"
    cluster.edit(batch={"backoffLimit": 9})
    await cluster.visit()
    assert "delete Job" in cluster.kube.writes
    assert cluster.condition("Complete") is None
    await cluster.visit()
    assert cluster.job["spec"]["backoffLimitPerIndex"] == 9
    assert cluster.condition("Failed") is None


async def test_what_was_done_under_another_policy_does_not_count() -> None:
    cluster = await begun()
    cluster.job["status"] = {"completedIndexes": "0-1", "conditions": [{"type": "Complete", "status": "True"}]}
    signed = [DOCUMENTS[0] | {"contentSHA256": "b" * 64}]
    cluster.kube.put(cluster.resource | {"spec": cluster.resource["spec"] | {"fileSystems": signed}})
    cluster.resource["metadata"]["generation"] = 2
    await cluster.visit()
    cluster.approved()
    await cluster.visit()
    assert cluster.condition("Complete") is None
    assert "delete Job" in cluster.kube.writes
    assert cluster.batch["completedIndexes"] == ""


async def test_parallelism_changes_while_it_runs_and_no_key_is_asked_for_again() -> None:
    cluster = await begun()
    cluster.pod(0)
    await cluster.reconcile()
    cluster.edit(batch={"parallelism": 1})
    await cluster.reconcile()
    assert cluster.job["spec"]["parallelism"] == 1
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.condition("Drifted") is None


async def test_a_batch_that_is_paused_by_its_parallelism_says_so() -> None:
    cluster = await begun(parallelism=0)
    await cluster.reconcile()
    assert (cluster.condition("Ready")["status"], cluster.reason()) == ("True", "ScaledToZero")
    assert "parallelism is 0" in cluster.condition("Ready")["message"]


async def test_a_finished_batch_is_deleted_when_its_time_has_come() -> None:
    cluster = await begun(ttlSecondsAfterFinished=60)
    assert (await complete(cluster)).wait == 60
    cluster.now += timedelta(seconds=20)
    assert (await cluster.visit()).wait == 40
    assert "delete ConfidentialSummarizer" not in cluster.kube.writes
    cluster.now += timedelta(seconds=41)
    await cluster.visit()
    assert "delete ConfidentialSummarizer" in cluster.kube.writes
