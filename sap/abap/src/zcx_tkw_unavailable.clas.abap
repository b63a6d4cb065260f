"! No token at this moment; trying again later may work.
CLASS zcx_tkw_unavailable DEFINITION PUBLIC INHERITING FROM zcx_tkw FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    METHODS kind REDEFINITION.

  PROTECTED SECTION.
  PRIVATE SECTION.
ENDCLASS.


CLASS zcx_tkw_unavailable IMPLEMENTATION.

  METHOD kind.
    kind = c_unavailable.
  ENDMETHOD.

ENDCLASS.
