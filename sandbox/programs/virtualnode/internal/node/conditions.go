package node

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// phase follows the kubelet: a container that waits after it ended counts as ended, one that never ran as pending.
func phase(policy corev1.RestartPolicy, initial, containers []corev1.ContainerStatus) corev1.PodPhase {
	for _, container := range initial {
		switch ended := container.State.Terminated; {
		case ended == nil:
			return corev1.PodPending
		case ended.ExitCode != 0 && policy == corev1.RestartPolicyNever:
			return corev1.PodFailed
		case ended.ExitCode != 0:
			return corev1.PodPending
		}
	}
	var running, pending, succeeded, failed int
	for _, container := range containers {
		ended := container.State.Terminated
		if ended == nil && container.State.Waiting != nil {
			ended = container.LastTerminationState.Terminated
		}
		switch {
		case container.State.Running != nil:
			running++
		case ended == nil:
			pending++
		case ended.ExitCode == 0:
			succeeded++
		default:
			failed++
		}
	}
	switch {
	case pending > 0:
		return corev1.PodPending
	case running > 0 || policy == corev1.RestartPolicyAlways:
		return corev1.PodRunning
	case failed == 0:
		return corev1.PodSucceeded
	case policy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	default:
		return corev1.PodRunning
	}
}

// gatesOpen looks at conditions that others set and that the pod names as readiness gates.
func gatesOpen(pod *corev1.Pod, status *corev1.PodStatus) (bool, string) {
	for _, gate := range pod.Spec.ReadinessGates {
		open := false
		for _, condition := range status.Conditions {
			open = open || (condition.Type == gate.ConditionType && condition.Status == corev1.ConditionTrue)
		}
		if !open {
			return false, "ReadinessGatesNotReady"
		}
	}
	return true, ""
}

// setCondition keeps the time of the last transition where nothing changes.
func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, value bool, reason string, now time.Time) {
	condition := corev1.PodCondition{
		Type: kind, Status: corev1.ConditionFalse, Reason: reason, LastTransitionTime: metav1.Time{Time: now.Truncate(time.Second)},
	}
	if value {
		condition.Status, condition.Reason = corev1.ConditionTrue, ""
	}
	for i, known := range status.Conditions {
		if known.Type != kind {
			continue
		}
		if known.Status == condition.Status {
			condition.LastTransitionTime = known.LastTransitionTime
		}
		condition.ObservedGeneration = known.ObservedGeneration
		status.Conditions[i] = condition
		return
	}
	status.Conditions = append(status.Conditions, condition)
}
