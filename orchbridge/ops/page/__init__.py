"""The status page: what a person opens first. One HTML document, readable anywhere, without an outside resource."""

from orchbridge.ops.page.document import POLICY, document, page

__all__ = ["POLICY", "document", "page"]
