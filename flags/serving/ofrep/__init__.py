"""OpenFeature's Remote Evaluation Protocol (OFREP 0.3): https://github.com/open-feature/protocol, service/openapi.yaml.

The hot path: bytes in, bytes out, from the evaluation cache, without Django's request, ORM or REST framework.
`remote_evaluation` puts the parts together. What surprises clients is in docs/openfeature.md.
"""
