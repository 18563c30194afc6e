"""The endpoints of people."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import User
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import ReasonInput
from orgs.access import people_operations
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.access.people_serializers import (
    NewPerson,
    PeopleFilters,
    PersonChanges,
    PersonSerializer,
    PersonWithPasswordSerializer,
)
from orgs.idempotency.stored_answers import idempotent, shown_once

USERNAME = OpenApiParameter(
    "username", {"type": "string", "minLength": 1, "maxLength": 150, "pattern": "^[^/]+$"}, OpenApiParameter.PATH
)


class People(ListEndpoint):
    """The list of people."""

    roles: ClassVar = {"GET": Role.ADMIN, "POST": Role.ADMIN}

    @extend_schema(
        operation_id="listPeople",
        summary="List people",
        parameters=[PeopleFilters],
        responses=PersonSerializer(many=True),
        tags=["access"],
    )
    def get(self, request: Request) -> Response:
        """The people whom the caller may see, also those who are not active, in the order of their creation."""
        filters = self.filters(request, PeopleFilters)
        people = people_operations.visible_people(self.caller).filter(**filters)
        return self.page(PersonSerializer, self.rows(request, people))

    @extend_schema(
        operation_id="createPerson",
        summary="Create a person",
        request=NewPerson,
        responses={201: PersonWithPasswordSerializer},
        tags=["access"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a person with at most your own role and scope. The answer shows the first password, once."""
        person, password = people_operations.create(self.caller, **NewPerson.read(request))
        location = reverse("person", args=[person.get_username()])
        return _password_response(person, password, status=status.HTTP_201_CREATED, Location=location)


class OnePerson(Endpoint):
    """A single person."""

    roles: ClassVar = {"GET": Role.ADMIN, "PATCH": Role.ADMIN}

    @extend_schema(
        operation_id="getPerson",
        summary="Read a person",
        parameters=[USERNAME],
        responses=PersonSerializer,
        tags=["access"],
    )
    def get(self, request: Request, username: str) -> Response:
        """The person with groups and scope."""
        return Response(PersonSerializer(people_operations.find(self.caller, username)).data)

    @extend_schema(
        operation_id="changePerson",
        summary="Change groups, scope or names of a person, or deactivate the person",
        request=PersonChanges,
        parameters=[USERNAME],
        responses=PersonSerializer,
        tags=["access"],
    )
    @idempotent
    def patch(self, request: Request, username: str) -> Response:
        """A field that you leave out does not change. Superusers are changed in the admin site only."""
        person = people_operations.find(self.caller, username)
        changes = PersonChanges.read(request)
        if not changes:
            raise ValidationError("Nothing to change: send groups, organizationId, active, a name or the email.")
        return Response(PersonSerializer(people_operations.change(self.caller, person.get_username(), changes)).data)


class PasswordOfPerson(Endpoint):
    """A new password for a person."""

    roles: ClassVar = {"POST": Role.ADMIN}

    @extend_schema(
        operation_id="setPassword",
        summary="Give a person a new password",
        request=ReasonInput,
        parameters=[USERNAME],
        responses=PersonWithPasswordSerializer,
        tags=["access"],
    )
    @idempotent
    def post(self, request: Request, username: str) -> Response:
        """All sessions of the person end. The answer shows the password, once."""
        ReasonInput.read(request)
        return _password_response(*people_operations.set_password(self.caller, username))


def _password_response(person: User, password: str, *, status: int = status.HTTP_200_OK, **headers: str) -> Response:
    data = PersonWithPasswordSerializer(person, context={"password": password}).data
    headers["Cache-Control"] = "no-store, private"
    return shown_once(Response(data, status=status, headers=headers), "password")
