package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// pace is how often a keeper does things.
type pace struct {
	changing     time.Duration // between looks at a group that is not as it should be
	settled      time.Duration // between looks at one that is
	firstBackoff time.Duration // after a call that failed; it doubles from here
	lastBackoff  time.Duration // to here
}

var ordinaryPace = pace{
	changing: time.Second, settled: 5 * time.Second, firstBackoff: time.Second, lastBackoff: 30 * time.Second,
}

// spread is how far a wait strays to either side, so that many pods do not call at once.
const spread = 0.2

// keeper looks after one pod: it makes the group, watches it, and takes it away when the pod is to go.
//
// There is one keeper for each pod UID, and it alone writes to the group. It starts by looking for the group, so that a
// restarted node finds what an earlier run made.
type keeper struct {
	provider *Provider
	uid      types.UID
	name     string // of the group

	mutex   sync.Mutex
	pod     *corev1.Pod // variables resolved; the status is the one reported last
	doomed  bool
	changed chan struct{} // holds a token when the pod or its fate has changed

	events  eventLog
	prober  prober
	failure string // of the last attempt to make the group; an event is recorded for each new one
	existed bool   // the group was there at some time
}

func newKeeper(provider *Provider, pod *corev1.Pod) *keeper {
	return &keeper{
		provider: provider,
		uid:      pod.UID,
		name:     GroupName(pod),
		pod:      pod,
		changed:  make(chan struct{}, 1),
		events:   eventLog{},
	}
}

// snapshot is the pod as it was reported last, for the caller to keep.
func (k *keeper) snapshot() *corev1.Pod {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.pod.DeepCopy()
}

// replace takes over a changed pod; labels and annotations may change while it lives.
func (k *keeper) replace(pod *corev1.Pod) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	status := k.pod.Status
	k.pod = pod
	k.pod.Status = status
	k.wake()
}

// doom asks for the group to be taken away.
func (k *keeper) doom() {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.doomed = true
	k.wake()
}

func (k *keeper) isDoomed() bool {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.doomed
}

func (k *keeper) wake() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// run keeps the pod until its group is gone for good, or the node stops, which leaves the group alone.
func (k *keeper) run(ctx context.Context) {
	pace := k.provider.pace
	backoff := pace.firstBackoff
	for ctx.Err() == nil && !k.isDoomed() {
		settled, err := k.look(ctx)
		wait := pace.changing
		switch {
		case err != nil:
			wait, backoff = backoff, min(backoff*2, pace.lastBackoff)
		case settled:
			wait, backoff = k.settledWait(), pace.firstBackoff
		default:
			backoff = pace.firstBackoff
		}
		k.sleep(ctx, wait)
	}
	backoff = pace.firstBackoff
	for ctx.Err() == nil {
		gone, err := k.remove(ctx)
		if gone {
			k.provider.forget(k)
			return
		}
		wait := pace.changing
		if err != nil {
			k.provider.logger(ctx, k.name).WithError(err).Warn("the group is not deleted yet")
			wait, backoff = backoff, min(backoff*2, pace.lastBackoff)
		}
		k.sleep(ctx, wait)
	}
}

// look brings group and status up to date once. It tells whether both are as they should be.
func (k *keeper) look(ctx context.Context) (bool, error) {
	group, err := k.provider.arm.Get(ctx, k.name)
	switch {
	case arm.IsNotFound(err):
		return k.make(ctx)
	case err != nil:
		k.provider.logger(ctx, k.name).WithError(err).Warn("the group's state cannot be read")
		return false, err
	}
	if !k.existed {
		k.existed = true
		k.recall(ctx)
	}
	pod := k.snapshot()
	for _, event := range k.events.fresh(group) {
		k.record(pod, event)
	}
	readiness := k.prober.run(ctx, pod, group, time.Now())
	status := Status(pod, k.provider.statusOf(pod), group, readiness, time.Now())
	k.report(status)
	return isSettled(status), nil
}

// make asks for the group. A pod that may not run, or whose group is refused, stays Pending and says why.
func (k *keeper) make(ctx context.Context) (bool, error) {
	pod := k.snapshot()
	before := k.provider.statusOf(pod)
	if finished(before) {
		return true, nil
	}
	if k.existed {
		if pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
			k.report(Lost(pod, before, time.Now()))
			return true, nil
		}
		k.record(pod, podEvent{"", corev1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created."})
		k.events = eventLog{}
	}
	err := k.put(ctx, pod)
	k.existed = err == nil
	k.report(Waiting(pod, before, err, time.Now()))
	if err == nil {
		k.failure = ""
		return false, nil
	}
	if k.failure != err.Error() {
		k.failure = err.Error()
		k.record(pod, podEvent{"", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: " + err.Error()})
	}
	var never unsupported
	if errors.As(err, &never) {
		return true, nil // only a changed pod helps, and that wakes the keeper
	}
	return false, err
}

func (k *keeper) put(ctx context.Context, pod *corev1.Pod) error {
	inputs, err := lookUp(k.provider.original(pod), k.provider.secrets)
	if err != nil {
		return err
	}
	group, err := Translate(pod, k.provider.settings, inputs)
	if err != nil {
		return err
	}
	return k.provider.arm.Put(ctx, k.name, group)
}

// remove deletes the group, and the pod once the group is gone; it tells whether both are.
func (k *keeper) remove(ctx context.Context) (bool, error) {
	group, err := k.provider.arm.Get(ctx, k.name)
	switch {
	case err == nil && group.Properties.ProvisioningState == "Deleting":
		return false, nil
	case err == nil:
		return false, k.provider.arm.Delete(ctx, k.name)
	case !arm.IsNotFound(err):
		return false, err
	}
	// As a kubelet does: the object goes when nothing of the pod is left on the node.
	pod := k.snapshot()
	if current := k.provider.current(pod.Namespace, pod.Name); current == nil || current.UID != pod.UID || current.DeletionTimestamp == nil {
		return true, nil
	}
	options := metav1.NewDeleteOptions(0)
	options.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
	err = k.provider.kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *options)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return true, nil
	}
	return false, err
}

// recall learns which events an earlier run of the node has told of this pod.
func (k *keeper) recall(ctx context.Context) {
	pod := k.snapshot()
	selector := fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String()
	list, err := k.provider.kube.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{FieldSelector: selector})
	if err != nil {
		k.provider.logger(ctx, k.name).WithError(err).Warn("earlier events cannot be read; some may be told twice")
		return
	}
	for i := range list.Items {
		k.events.remember(&list.Items[i])
	}
}

func (k *keeper) record(pod *corev1.Pod, event podEvent) {
	reference := &corev1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: k.uid,
		ResourceVersion: pod.ResourceVersion, FieldPath: event.fieldPath,
	}
	k.provider.recorder.Event(reference, event.kind, event.reason, event.message)
}

// report hands a status to Kubernetes.
func (k *keeper) report(status corev1.PodStatus) {
	k.mutex.Lock()
	k.pod.Status = status
	pod := k.pod.DeepCopy()
	doomed := k.doomed
	k.mutex.Unlock()
	if !doomed {
		k.provider.notify(pod)
	}
}

// settledWait is short enough for the pod's probes.
func (k *keeper) settledWait() time.Duration {
	pace := k.provider.pace
	wait := pace.settled
	pod := k.snapshot()
	for _, container := range pod.Spec.Containers {
		if isRemote(container.ReadinessProbe) {
			wait = min(wait, max(seconds(container.ReadinessProbe.PeriodSeconds, 10), pace.changing))
		}
	}
	return wait
}

func (k *keeper) sleep(ctx context.Context, wait time.Duration) {
	wait = time.Duration(float64(wait) * (1 - spread + 2*spread*rand.Float64())) //nolint:gosec
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-k.changed:
	case <-timer.C:
	}
}

func finished(status corev1.PodStatus) bool {
	return status.Phase == corev1.PodSucceeded || status.Phase == corev1.PodFailed
}

// isSettled tells whether nothing is expected to change soon: the pod is ready, or has finished.
func isSettled(status corev1.PodStatus) bool {
	for _, condition := range status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return finished(status)
}

// containerOf checks that the pod has a container of that name.
func containerOf(pod *corev1.Pod, name string) error {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, container := range list {
			if container.Name == name {
				return nil
			}
		}
	}
	return fmt.Errorf("pod %s/%s has no container %s", pod.Namespace, pod.Name, name)
}
