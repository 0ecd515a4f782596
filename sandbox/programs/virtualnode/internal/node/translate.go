package node

import (
	"fmt"
	"math"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

const (
	// serviceAccountVolume starts the name of the volume that admission adds to a pod for its API token.
	serviceAccountVolume = "kube-api-access-"

	gibibyte = 1 << 30

	// The size of a container that asks for none: the least a group may have.
	defaultCPU    = 1.0
	defaultMemory = 1.0
)

// Settings are the node's own part of every group.
type Settings struct {
	Node     string
	Location string
	SubnetID string
}

// Inputs are the objects that a pod refers to, looked up beforehand.
type Inputs struct {
	// SecretVariables names, by container, the variables whose values come out of a Secret.
	SecretVariables map[string]map[string]bool
	// Registries are the credentials of the pod's image pull secrets.
	Registries []arm.RegistryCredential
}

// unsupported is a pod that this node cannot run as it stands.
type unsupported struct{ reason string }

func (u unsupported) Error() string { return u.reason }

// Translate makes the container group of a pod whose variables are resolved.
func Translate(pod *corev1.Pod, settings Settings, inputs Inputs) (*arm.Group, error) {
	policy := pod.Annotations[annotationPolicy]
	if policy == "" {
		return nil, unsupported{"the pod has no annotation " + annotationPolicy +
			": the sandbox runs confidential container groups only; make a policy with `csum policy` and set it"}
	}
	volumes, err := translateVolumes(pod)
	if err != nil {
		return nil, err
	}
	group := &arm.Group{
		Location: settings.Location,
		Tags:     groupTags(pod, settings.Node),
		Properties: arm.GroupProperties{
			SKU:                      "Confidential",
			OSType:                   "Linux",
			RestartPolicy:            string(pod.Spec.RestartPolicy),
			ConfidentialComputeProps: &arm.ConfidentialComputeProps{CCEPolicy: policy},
			Volumes:                  volumes,
			ImageRegistryCredentials: inputs.Registries,
			IPAddress:                &arm.IPAddress{Type: "Private", Ports: groupPorts(pod)},
			SubnetIDs:                []arm.SubnetID{{ID: settings.SubnetID}},
		},
	}
	if subnet := pod.Annotations[annotationSubnet]; subnet != "" {
		group.Properties.SubnetIDs = []arm.SubnetID{{ID: subnet}}
	}
	if identity := pod.Annotations[annotationIdentity]; identity != "" {
		group.Identity = &arm.Identity{Type: "UserAssigned", UserAssignedIdentities: map[string]struct{}{identity: {}}}
	}
	if zones := pod.Annotations[annotationZones]; zones != "" {
		group.Zones = strings.Split(zones, ";")
	}
	for i := range pod.Spec.Containers {
		container := translateContainer(pod, &pod.Spec.Containers[i], inputs)
		addRunningParts(&container, &pod.Spec.Containers[i])
		group.Properties.Containers = append(group.Properties.Containers, container)
	}
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		if container.RestartPolicy != nil {
			return nil, unsupported{fmt.Sprintf("init container %s has a restart policy: a container group has no"+
				" native sidecars; make it an ordinary container", container.Name)}
		}
		group.Properties.InitContainers = append(group.Properties.InitContainers, translateContainer(pod, container, inputs))
	}
	return group, nil
}

// translateContainer makes the part that init containers have too.
func translateContainer(pod *corev1.Pod, container *corev1.Container, inputs Inputs) arm.Container {
	properties := arm.ContainerProperties{
		Image:           container.Image,
		SecurityContext: translateSecurity(pod.Spec.SecurityContext, container.SecurityContext),
	}
	// ARM's command replaces entry point and arguments of the image, Kubernetes' replaces the entry point alone. With
	// arguments only, the guest has to put the image's entry point in front.
	if len(container.Command) > 0 {
		properties.Command = append(append([]string{}, container.Command...), container.Args...)
	} else {
		properties.Args = container.Args
	}
	for _, variable := range sortedByName(container.Env) {
		value := variable.Value
		if inputs.SecretVariables[container.Name][variable.Name] {
			properties.EnvironmentVariables = append(properties.EnvironmentVariables,
				arm.EnvVar{Name: variable.Name, SecureValue: &value})
		} else {
			properties.EnvironmentVariables = append(properties.EnvironmentVariables,
				arm.EnvVar{Name: variable.Name, Value: &value})
		}
	}
	for _, mount := range container.VolumeMounts {
		if strings.HasPrefix(mount.Name, serviceAccountVolume) {
			continue
		}
		translated := arm.VolumeMount{
			Name: mount.Name, MountPath: mount.MountPath, ReadOnly: mount.ReadOnly, SubPath: mount.SubPath,
		}
		if mount.MountPropagation != nil {
			translated.MountPropagation = string(*mount.MountPropagation)
		}
		properties.VolumeMounts = append(properties.VolumeMounts, translated)
	}
	return arm.Container{Name: container.Name, Properties: properties}
}

// addRunningParts adds what only a container that stays has: ports, size and probes.
func addRunningParts(translated *arm.Container, container *corev1.Container) {
	for _, port := range container.Ports {
		translated.Properties.Ports = append(translated.Properties.Ports, translatePort(port))
	}
	translated.Properties.Resources = translateResources(container.Resources)
	translated.Properties.LivenessProbe = translateProbe(container.LivenessProbe, container)
	translated.Properties.ReadinessProbe = translateProbe(container.ReadinessProbe, container)
}

// translateVolumes makes the group's volumes. The API token's is left out: what runs in a confidential group has no
// business with the API server of the host that it does not trust.
func translateVolumes(pod *corev1.Pod) ([]arm.Volume, error) {
	var volumes []arm.Volume
	for _, volume := range pod.Spec.Volumes {
		switch {
		case strings.HasPrefix(volume.Name, serviceAccountVolume):
		case volume.EmptyDir != nil:
			volumes = append(volumes, arm.Volume{Name: volume.Name, EmptyDir: &struct{}{}})
		default:
			return nil, unsupported{fmt.Sprintf("volume %s is no emptyDir: the sandbox's node has no other kind", volume.Name)}
		}
	}
	return volumes, nil
}

// sortedByName puts variables, which come out of a map, in an order that stays the same.
func sortedByName(variables []corev1.EnvVar) []corev1.EnvVar {
	sorted := append([]corev1.EnvVar{}, variables...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	return sorted
}

func groupPorts(pod *corev1.Pod) []arm.Port {
	ports, seen := []arm.Port{}, map[arm.Port]bool{}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if translated := translatePort(port); !seen[translated] {
				ports, seen[translated] = append(ports, translated), true
			}
		}
	}
	return ports
}

func translatePort(port corev1.ContainerPort) arm.Port {
	protocol := string(port.Protocol)
	if protocol == "" {
		protocol = string(corev1.ProtocolTCP)
	}
	return arm.Port{Port: port.ContainerPort, Protocol: protocol}
}

func translateResources(wanted corev1.ResourceRequirements) *arm.Resources {
	requests := wanted.Requests
	if len(requests) == 0 {
		requests = wanted.Limits
	}
	resources := &arm.Resources{Requests: amounts(requests)}
	if len(wanted.Limits) > 0 {
		limits := amounts(wanted.Limits)
		resources.Limits = &limits
	}
	return resources
}

// amounts are whole hundredths of a core and tenths of a GiB, rounded up.
func amounts(list corev1.ResourceList) arm.Amounts {
	result := arm.Amounts{CPU: defaultCPU, MemoryInGB: defaultMemory}
	if cpu, found := list[corev1.ResourceCPU]; found {
		result.CPU = math.Ceil(float64(cpu.MilliValue())/10) / 100
	}
	if memory, found := list[corev1.ResourceMemory]; found {
		result.MemoryInGB = math.Ceil(float64(memory.Value())/gibibyte*10) / 10
	}
	return result
}

// translateProbe passes on the kinds that a container group has; the node itself looks after the others.
func translateProbe(probe *corev1.Probe, container *corev1.Container) *arm.Probe {
	if probe == nil || (probe.Exec == nil && probe.HTTPGet == nil) {
		return nil
	}
	translated := &arm.Probe{
		InitialDelaySeconds: probe.InitialDelaySeconds,
		PeriodSeconds:       probe.PeriodSeconds,
		FailureThreshold:    probe.FailureThreshold,
		SuccessThreshold:    probe.SuccessThreshold,
		TimeoutSeconds:      probe.TimeoutSeconds,
	}
	if probe.Exec != nil {
		translated.Exec = &arm.ExecProbe{Command: probe.Exec.Command}
	} else {
		translated.HTTPGet = &arm.HTTPGet{
			Path:   probe.HTTPGet.Path,
			Port:   portNumber(probe.HTTPGet.Port, container),
			Scheme: strings.ToLower(string(probe.HTTPGet.Scheme)),
		}
	}
	return translated
}

// portNumber resolves a port that may be given by the name it has in the container; 0 where there is none of that name.
func portNumber(port intstr.IntOrString, container *corev1.Container) int32 {
	if port.Type == intstr.Int {
		return port.IntVal
	}
	for _, candidate := range container.Ports {
		if candidate.Name == port.StrVal {
			return candidate.ContainerPort
		}
	}
	return 0
}

// translateSecurity lays the container's security context over the pod's.
func translateSecurity(pod *corev1.PodSecurityContext, container *corev1.SecurityContext) *arm.SecurityContext {
	var translated arm.SecurityContext
	if pod != nil {
		translated.RunAsUser, translated.RunAsGroup = pod.RunAsUser, pod.RunAsGroup
	}
	if container != nil {
		translated.Privileged = container.Privileged
		translated.AllowPrivilegeEscalation = container.AllowPrivilegeEscalation
		if container.RunAsUser != nil {
			translated.RunAsUser = container.RunAsUser
		}
		if container.RunAsGroup != nil {
			translated.RunAsGroup = container.RunAsGroup
		}
		if capabilities := container.Capabilities; capabilities != nil {
			translated.Capabilities = &arm.Capabilities{Add: names(capabilities.Add), Drop: names(capabilities.Drop)}
		}
	}
	if translated == (arm.SecurityContext{}) {
		return nil
	}
	return &translated
}

func names(capabilities []corev1.Capability) []string {
	var result []string
	for _, capability := range capabilities {
		result = append(result, string(capability))
	}
	return result
}
