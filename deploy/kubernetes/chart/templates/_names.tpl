{{- /* The addresses that dotward listens on. */ -}}
{{- define "dotward.listen" -}}
{{- $addresses := list -}}
{{- if .Values.listenOnNode }}{{ $addresses = concat $addresses (list "127.0.0.1" "$(HOST_IP)") }}{{ end -}}
{{- if .Values.nodeLocal.enabled }}{{ $addresses = append $addresses .Values.nodeLocal.address }}{{ end -}}
{{- required "listenOnNode or nodeLocal.enabled: one of them" (join "," $addresses) -}}
{{- end -}}

{{- /* The configuration file, if there is anything to say in one. */ -}}
{{- define "dotward.config" -}}
{{- .Values.config -}}
{{- if .Values.nodeLocal.enabled }}
# The cluster's names, which only the cluster's own DNS knows.
[[route]]
domain = {{ .Values.nodeLocal.domains | toJson }}
upstreams = [{{ printf "udp://%s" .Values.nodeLocal.clusterDns | toJson }}]
allow-plaintext = true
{{ end -}}
{{- end -}}
