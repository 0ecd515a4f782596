// Package arm is a small client of Azure Resource Manager for container groups.
//
// The types hold what a virtual node sends and reads. Three fields are not Azure's own: `args`, `mountPropagation` and
// `subPath` carry what a Kubernetes container says and an ARM container cannot. The real virtual node hands containers
// to the group over a channel of its own, past ARM, which is why it needs no such fields.
package arm

import "time"

// Group is a container group (Microsoft.ContainerInstance/containerGroups).
type Group struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Zones      []string          `json:"zones,omitempty"`
	Identity   *Identity         `json:"identity,omitempty"`
	Properties GroupProperties   `json:"properties"`
}

// Identity lists the managed identities that the group can get tokens for.
type Identity struct {
	Type                   string              `json:"type"`
	UserAssignedIdentities map[string]struct{} `json:"userAssignedIdentities,omitempty"`
}

// GroupProperties is the group without its envelope.
type GroupProperties struct {
	SKU                      string                    `json:"sku,omitempty"`
	OSType                   string                    `json:"osType,omitempty"`
	RestartPolicy            string                    `json:"restartPolicy,omitempty"`
	ProvisioningState        string                    `json:"provisioningState,omitempty"`
	ConfidentialComputeProps *ConfidentialComputeProps `json:"confidentialComputeProperties,omitempty"`
	Containers               []Container               `json:"containers"`
	InitContainers           []Container               `json:"initContainers,omitempty"`
	Volumes                  []Volume                  `json:"volumes,omitempty"`
	ImageRegistryCredentials []RegistryCredential      `json:"imageRegistryCredentials,omitempty"`
	IPAddress                *IPAddress                `json:"ipAddress,omitempty"`
	SubnetIDs                []SubnetID                `json:"subnetIds,omitempty"`
	InstanceView             *GroupView                `json:"instanceView,omitempty"`
}

// ConfidentialComputeProps carries the policy that the group's guest enforces, as base64 of rego.
type ConfidentialComputeProps struct {
	CCEPolicy string `json:"ccePolicy"`
}

// Container is a container, or an init container, which has fewer properties.
type Container struct {
	Name       string              `json:"name"`
	Properties ContainerProperties `json:"properties"`
}

// ContainerProperties is what one container runs and, in an answer, how it fares.
type ContainerProperties struct {
	Image                string           `json:"image"`
	Command              []string         `json:"command,omitempty"`
	Args                 []string         `json:"args,omitempty"`
	Ports                []Port           `json:"ports,omitempty"`
	EnvironmentVariables []EnvVar         `json:"environmentVariables,omitempty"`
	Resources            *Resources       `json:"resources,omitempty"`
	VolumeMounts         []VolumeMount    `json:"volumeMounts,omitempty"`
	LivenessProbe        *Probe           `json:"livenessProbe,omitempty"`
	ReadinessProbe       *Probe           `json:"readinessProbe,omitempty"`
	SecurityContext      *SecurityContext `json:"securityContext,omitempty"`
	InstanceView         *ContainerView   `json:"instanceView,omitempty"`
}

// Port is a port that a container listens on; ACI maps none.
type Port struct {
	Port     int32  `json:"port"`
	Protocol string `json:"protocol,omitempty"`
}

// EnvVar is a variable; a secure value is never echoed.
type EnvVar struct {
	Name        string  `json:"name"`
	Value       *string `json:"value,omitempty"`
	SecureValue *string `json:"secureValue,omitempty"`
}

// Resources are in cores and GiB.
type Resources struct {
	Requests Amounts  `json:"requests"`
	Limits   *Amounts `json:"limits,omitempty"`
}

// Amounts is a number of cores and of GiB.
type Amounts struct {
	CPU        float64 `json:"cpu"`
	MemoryInGB float64 `json:"memoryInGB"`
}

// VolumeMount puts a volume into a container.
type VolumeMount struct {
	Name             string `json:"name"`
	MountPath        string `json:"mountPath"`
	ReadOnly         bool   `json:"readOnly,omitempty"`
	MountPropagation string `json:"mountPropagation,omitempty"`
	SubPath          string `json:"subPath,omitempty"`
}

// Probe is an exec or httpGet probe; ACI has no other kinds.
type Probe struct {
	Exec                *ExecProbe `json:"exec,omitempty"`
	HTTPGet             *HTTPGet   `json:"httpGet,omitempty"`
	InitialDelaySeconds int32      `json:"initialDelaySeconds,omitempty"`
	PeriodSeconds       int32      `json:"periodSeconds,omitempty"`
	FailureThreshold    int32      `json:"failureThreshold,omitempty"`
	SuccessThreshold    int32      `json:"successThreshold,omitempty"`
	TimeoutSeconds      int32      `json:"timeoutSeconds,omitempty"`
}

// ExecProbe runs a command in the container.
type ExecProbe struct {
	Command []string `json:"command"`
}

// HTTPGet asks a path of the container.
type HTTPGet struct {
	Path   string `json:"path,omitempty"`
	Port   int32  `json:"port"`
	Scheme string `json:"scheme,omitempty"`
}

// SecurityContext is Kubernetes' own, but for seccomp, which is the base64 of a profile.
type SecurityContext struct {
	Privileged               *bool         `json:"privileged,omitempty"`
	AllowPrivilegeEscalation *bool         `json:"allowPrivilegeEscalation,omitempty"`
	RunAsUser                *int64        `json:"runAsUser,omitempty"`
	RunAsGroup               *int64        `json:"runAsGroup,omitempty"`
	Capabilities             *Capabilities `json:"capabilities,omitempty"`
}

// Capabilities are names without CAP_.
type Capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}

// Volume is a volume of the group; this node makes empty directories only.
type Volume struct {
	Name     string    `json:"name"`
	EmptyDir *struct{} `json:"emptyDir,omitempty"`
}

// RegistryCredential lets the group pull from one registry.
type RegistryCredential struct {
	Server   string `json:"server"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// IPAddress is asked for with its ports, and answered with the address.
type IPAddress struct {
	Type  string `json:"type"`
	Ports []Port `json:"ports"`
	IP    string `json:"ip,omitempty"`
}

// SubnetID names the subnet that the group joins.
type SubnetID struct {
	ID string `json:"id"`
}

// GroupView is how the group fares as a whole.
type GroupView struct {
	State  string  `json:"state"`
	Events []Event `json:"events"`
}

// ContainerView is how one container fares.
type ContainerView struct {
	RestartCount  int32           `json:"restartCount"`
	CurrentState  *ContainerState `json:"currentState"`
	PreviousState *ContainerState `json:"previousState"`
	Events        []Event         `json:"events"`
}

// ContainerState is one life of a container.
type ContainerState struct {
	State        string     `json:"state"`
	StartTime    *time.Time `json:"startTime"`
	FinishTime   *time.Time `json:"finishTime"`
	ExitCode     int32      `json:"exitCode"`
	DetailStatus string     `json:"detailStatus"`
}

// Event is one entry of an events list.
type Event struct {
	Name           string    `json:"name"`
	Type           string    `json:"type"`
	Message        string    `json:"message"`
	Count          int32     `json:"count"`
	FirstTimestamp time.Time `json:"firstTimestamp"`
	LastTimestamp  time.Time `json:"lastTimestamp"`
}

// Container states of the service.
const (
	StateRunning    = "Running"
	StateTerminated = "Terminated"
	StateWaiting    = "Waiting"
)
